"""Checks of the base backup, and of the programs against it."""

from engine.records.copies import BaseBackup
from engine.records.plan import Check
from engine.recovery.checks.question import Question, inform, refuse, warn
from engine.recovery.settings import DEFAULTS, needed_settings

SUPPORTED = range(13, 19)


def backup_damaged(question: Question) -> Check | None:
    point = question.point
    if point is None:
        return None
    doubted = [f"{backup.id}: {backup.doubt}" for backup in point.chain if backup.doubt is not None]
    if doubted:
        chosen = "named by the operator" if point.target.backup is not None else "no other backup reaches this moment"
        finding = f"{doubted[0]} ({chosen})"
        remedy = f"bring a whole one back from a second place, or read it again: reprise verify {point.backup.id}"
        return warn("backup-damaged", False, finding, remedy)
    without = [backup.id for backup in point.chain if not backup.has_manifest]
    if without:
        finding = f"no manifest in {', '.join(without)}: a damaged file would not be noticed while copying"
        return warn(
            "backup-damaged", False, finding, "take backups with a manifest; page checksums are looked at afterwards"
        )
    finding = "each file is compared with the manifest in the copying pass, before production is stopped"
    return inform("backup-damaged", finding, ok=None)


def backup_incomplete(question: Question) -> Check | None:
    if question.point is None:
        return None
    unusable = [backup for backup in question.point.chain if not backup.usable]
    if unusable:
        told = "; ".join(f"{backup.id}: {backup.reason or 'unusable'}" for backup in unusable)
        return refuse("backup-incomplete", False, told, "choose another backup with --backup")
    chain = " + ".join(backup.id for backup in question.point.chain)
    return refuse("backup-incomplete", True, f"{chain}: finished")


def backup_label(question: Question) -> Check | None:
    if question.point is None:
        return None
    without = [backup.id for backup in question.point.chain if backup.start_lsn is None]
    if without:
        finding = f"no backup_label in {', '.join(without)}: started without it, the cluster would be silently corrupt"
        return refuse("backup-label", False, finding, "choose another backup with --backup")
    return refuse("backup-label", True, "backup_label is there and names the start of replay")


def major_version(question: Question) -> Check | None:
    point, programs = question.point, question.survey.programs
    if point is None:
        return None
    wanted = {backup.version for backup in point.chain if backup.version is not None}
    if len(wanted) > 1:
        finding = f"the chain's backups are of versions {', '.join(map(str, sorted(wanted)))}"
        return refuse("major-version", False, finding, "choose another backup with --backup")
    version = next(iter(wanted), None)
    if programs is None:
        finding = f"no programs of PostgreSQL {version or '(version unknown)'} on this machine"
        return refuse(
            "major-version", False, finding, f"install PostgreSQL {version or ''}, or name bin_dir in the site file"
        )
    if version is None:
        return refuse(
            "major-version", None, "the backup's PG_VERSION cannot be read", "choose another backup with --backup"
        )
    if version not in SUPPORTED:
        return refuse("major-version", False, f"the backup is of PostgreSQL {version}; 13 to 18 are supported", None)
    if programs.version != version:
        finding = f"{programs.version_text} here, the backup is of PostgreSQL {version}"
        return refuse(
            "major-version", False, finding, f"install PostgreSQL {version}, or name its bin_dir in the site file"
        )
    return _same_system(question, point.backup) or refuse(
        "major-version", True, f"{programs.version_text} here, {version} in the backup; one system identifier"
    )


def _same_system(question: Question, backup: BaseBackup) -> Check | None:
    """Refuses where backup, WAL and production are not of one cluster."""
    own, cluster = backup.system_identifier, question.survey.cluster
    if own is not None and question.wal.system_identifier not in (None, own):
        finding = f"the backup is of system {own}, the WAL of {question.wal.system_identifier}"
        return refuse("major-version", False, finding, "separate the archives of the two clusters")
    if own is not None and question.in_place and cluster.system_identifier not in (None, own):
        finding = f"the backup is of system {own}, the production cluster is {cluster.system_identifier}"
        return refuse("major-version", False, finding, "correct the site file: these copies are not of this cluster")
    return None


def build_features(question: Question) -> Check | None:
    point, programs = question.point, question.survey.programs
    if point is None or programs is None:
        return None
    needed = {method for method in question.wal.compression or () if method in ("lz4", "zstd")}
    for name in ("wal_compression", "default_toast_compression"):
        if (method := question.survey.backup_settings.get(name, "")) in ("lz4", "zstd"):
            needed.add(method)
    if not programs.configure:
        if needed:
            finding = f"{' and '.join(sorted(needed))} needed, and how {programs.version_text} was built is unknown"
            return refuse("build-features", None, finding, "name a bin_dir with pg_config in the site file")
        return warn("build-features", None, f"how {programs.version_text} was built is unknown")
    lacking = sorted(method for method in needed if f"--with-{method}" not in programs.configure)
    if lacking:
        finding = (
            f"{programs.bin_dir} was built without {' and '.join(lacking)}, which this cluster's data or WAL needs"
        )
        return refuse(
            "build-features", False, finding, f"install PostgreSQL {programs.version} with it, or name its bin_dir"
        )
    if not _has_icu(programs.version, programs.configure):
        finding = "these programs have no ICU; whether a database uses an ICU collation shows only after the start"
        return warn("build-features", None, finding, "use the origin's own PostgreSQL build")
    told = f"{' and '.join(sorted(needed))} needed and there" if needed else "nothing needed that this build lacks"
    return refuse("build-features", True, told)


def _has_icu(version: int, configure: tuple[str, ...]) -> bool:
    """ICU is the default from 16 on, an option before (PostgreSQL 16's release notes)."""
    return "--without-icu" not in configure if version >= 16 else "--with-icu" in configure


def libraries(question: Question) -> Check | None:
    """What is preloaded, and what the functions of production's databases call where it answers; the copy's own are
    looked up once it stands at the gate (`engine/steps/inspect.py`)."""
    point, survey = question.point, question.survey
    if point is None:
        return None
    if survey.missing_libraries is None:
        finding = "where the programs look for libraries is unknown, and some are needed"
        return refuse("libraries", None, finding, "name a bin_dir with pg_config in the site file")
    if survey.missing_libraries:
        finding = f"not on this machine: {', '.join(survey.missing_libraries)}"
        return refuse("libraries", False, finding, "install the packages that hold them")
    named, called = point.backup.preload_libraries, survey.cluster.libraries
    preloaded = f"{len(named)} preloaded libraries found" if named else "no library is preloaded"
    if called is None or survey.cluster.system_identifier != point.backup.system_identifier:
        later = "those that functions call are looked up in the copy at the gate"
    else:
        later = f"{len(called)} that production's functions call found; the copy's are looked up at the gate"
    return refuse("libraries", True, f"{preloaded}; {later}")


def settings_too_low(question: Question) -> Check | None:
    point = question.point
    if point is None:
        return None
    needed = needed_settings(point)
    if not point.backup.settings:
        finding = "the backup's pg_control was not read beforehand; the copy's own is read before its first start"
        return warn("settings-too-low", None, finding)
    raised = []
    for name, value in needed.items():
        set_now = question.survey.backup_settings.get(name, "")
        have = int(set_now) if set_now.isdigit() else DEFAULTS[name]
        if have < value:
            raised.append(f"{name} {have} to {value}")
    changes = len(point.parameter_changes)
    if raised:
        return refuse("settings-too-low", True, f"raised for the recovery: {', '.join(raised)}")
    return refuse(
        "settings-too-low", True, f"pg_control and {changes} parameter changes need nothing higher than is set"
    )


def stale_settings(question: Question) -> Check | None:
    if question.point is None:
        return None
    stale = (
        "primary_conninfo",
        "primary_slot_name",
        "archive_cleanup_command",
        "recovery_end_command",
        "restore_command",
    )
    found = [
        name
        for name, value in question.survey.backup_settings.items()
        if value and (name in stale or name.startswith("recovery_target"))
    ]
    if found:
        return inform("stale-settings", f"cleared from the restored files: {', '.join(sorted(found))}")
    return inform("stale-settings", "the restored files hold no settings of an older recovery")


def page_checksums(question: Question) -> Check | None:
    if question.point is None:
        return None
    checksums = question.point.backup.data_checksums
    if checksums is False:
        finding = "the cluster has no page checksums: damaged pages cannot be told by them"
        return warn(
            "page-checksums", False, finding, "after the recovery: pg_amcheck --all; later: pg_checksums --enable"
        )
    if not question.reads_pages:
        finding = "not every page is read, as the site file says ([verify] pages = false)"
        return inform("page-checksums", finding, ok=None, remedy="after the recovery: stop it, pg_checksums --check")
    when = "before production is stopped" if question.in_place else "before the copy is opened"
    finding = f"every page of the copy is read at the gate, {when}; reprise skip RUN leaves that out"
    return inform("page-checksums", finding, ok=None)
