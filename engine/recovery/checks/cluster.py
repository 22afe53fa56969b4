"""Checks of the production cluster, and of what keeps a copy apart from it."""

from engine.records.plan import Check
from engine.recovery.checks.question import Question, inform, refuse, warn


def server_running(question: Question) -> Check | None:
    cluster = question.survey.cluster
    if not cluster.exists:
        return inform("server-running", "there is no production cluster on this machine")
    if cluster.mode is None:
        finding = f"{cluster.data_dir} does not answer: whether a server runs on it is not known"
        return inform("server-running", finding, ok=None)
    if not cluster.running:
        return inform("server-running", f"no server runs on {cluster.data_dir}")
    pid = f", pid {cluster.postmaster_pid}" if cluster.postmaster_pid else ""
    then = "stopped at the switch-over" if question.in_place else "left alone"
    silent = ", which does not answer at the site's address," if cluster.answers is False else ""
    return inform("server-running", f"production{silent} runs on {cluster.data_dir}{pid}: {then}")


def managed_elsewhere(question: Question) -> Check | None:
    managers = question.survey.managers
    if not managers:
        return refuse("managed-elsewhere", True, "no cluster manager or auto-restarting unit found")
    told = "; ".join(managers)
    if not question.in_place:
        return inform("managed-elsewhere", f"production is managed by {told}: left alone")
    remedy = "pause it first (patronictl pause, pcs resource unmanage, systemctl mask --runtime), then plan again"
    return refuse("managed-elsewhere", False, f"would start the server in mid-restore: {told}", remedy)


def configuration(question: Question) -> Check | None:
    """Debian keeps postgresql.conf and pg_hba.conf outside the data directory; a copy that is started with them opens
    production's data_directory."""
    survey = question.survey
    if question.point is None:
        return None
    outside = ", ".join(f"{name} {path}" for name, path in survey.config_outside.items())
    if not question.in_place:
        told = f"; production's own lie outside: {outside}" if outside else ""
        return refuse("configuration", True, f"the copy gets files of its own{told}")
    cluster = survey.cluster
    used = cluster.settings.get("config_file")
    if used and not outside and not used.startswith(cluster.data_dir + "/"):
        finding = f"production runs with {used}, which the site file does not name"
        remedy = f'set config_file = "{used}" (and hba_file, ident_file) in the site file\'s [database]'
        return refuse("configuration", False, finding, remedy)
    if cluster.exists and cluster.lacks_configuration and not outside:
        finding = f"{cluster.data_dir} holds no postgresql.conf: production is started with one that lies elsewhere"
        remedy = "set config_file (and hba_file, ident_file) in the site file's [database]"
        return refuse("configuration", False, finding, remedy)
    if survey.listens_elsewhere:
        where = survey.listens_elsewhere
        finding = f"production's settings have it listen at {where}: it would not answer there after the switch-over"
        return warn("configuration", False, finding, "set host and port in the site file's [database] to where it does")
    if outside:
        return refuse("configuration", True, f"the switched-over cluster uses {outside}")
    if not cluster.settings and not survey.backup_settings:
        finding = "neither production's data directory nor the backup holds a postgresql.conf; defaults would be used"
        return warn("configuration", False, finding, "name config_file and hba_file in the site file's [database]")
    if not cluster.settings:
        return refuse("configuration", True, "production's settings are those of the backup")
    return refuse("configuration", True, "production's settings lie in the data directory")


def tablespaces(question: Question) -> Check | None:
    point, layout = question.point, question.layout
    if point is None or layout is None:
        return None
    if not point.backup.tablespaces:
        return refuse("tablespaces", True, "none")
    number = len(point.backup.tablespaces)
    if not question.in_place:
        return refuse("tablespaces", True, f"{number}, copied to places of the copy's own below {layout.container}")
    known = dict(question.survey.cluster.tablespaces)
    taken: dict[str, int] = {}
    for tablespace in point.backup.tablespaces:
        if point.backup.format == "plain" and tablespace.oid not in known:
            finding = (
                f"production has no tablespace {tablespace.oid}, and the plain backup knows only where it keeps its "
                f"own contents, {tablespace.location}: restoring to there would write into the backup"
            )
            remedy = "restore a side copy with --into, or a backup in tar format, which names the origin's folder"
            return refuse("tablespaces", False, finding, remedy)
    for place in layout.tablespaces:
        if place.stands_at in taken:
            finding = f"{place.oid} and {taken[place.stands_at]} both lie in {place.stands_at}"
            return refuse("tablespaces", False, finding, "give each a folder of its own")
        taken[place.stands_at] = place.oid
        file_system = question.file_system(place.stands_at)
        if file_system is None:
            finding = f"the folder of tablespace {place.oid}, {place.stands_at}, could not be asked"
            return refuse("tablespaces", None, finding, "see that it is mounted and answers, then plan again")
        if not file_system.writable:
            finding = f"tablespace {place.oid}: {file_system.nearest} cannot be written to"
            return refuse(
                "tablespaces", False, finding, f"give {layout.run_as.name} (or root) the right to write there"
            )
    linked = "; the linked pg_wal too" if question.survey.cluster.wal_link else ""
    return refuse("tablespaces", True, f"{number}, their version folders set aside by renames{linked}")


def signal_files(question: Question) -> Check | None:
    if question.point is None:
        return None
    return inform("signal-files", "standby.signal and no other is asserted before every start", ok=None)


def archiving_copy(question: Question) -> Check | None:
    if question.point is None:
        return None
    if question.in_place:
        finding = "archive_command stays empty until the new timeline is proven"
        return inform("archiving-copy", finding)
    return inform("archiving-copy", "archive_mode = off in the copy's own files")


def promotion_crash(question: Question) -> Check | None:
    if question.point is None:
        return None
    finding = "if the server dies while promoting, it goes back behind the gate; it is never started plainly"
    return inform("promotion-crash", finding, ok=None)


def early_promotion(question: Question) -> Check | None:
    if question.point is None:
        return None
    return inform("early-promotion", "promoted only once the replay LSN is the gate", ok=None)


def sync_standby(question: Question) -> Check | None:
    if question.point is None:
        return None
    cluster = question.survey.cluster
    names = cluster.settings.get("synchronous_standby_names") or question.survey.backup_settings.get(
        "synchronous_standby_names"
    )
    if not names:
        return inform("sync-standby", "no synchronous standby is named")
    return inform("sync-standby", f"synchronous_standby_names is {names!r}: blanked after the finish", ok=True)
