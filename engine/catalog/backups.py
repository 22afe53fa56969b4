"""Facts of a folder made into a BaseBackup, and the bonds between backups: parents, identifiers, names."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from engine.catalog.facts import CONTROL, LABEL, Facts
from engine.catalog.folders import Kind
from engine.formats.backup_label import BackupHistory, BackupLabel, read_backup_label
from engine.formats.control_file import ControlFile, read_control_file
from engine.formats.settings_file import read_list
from engine.records.copies import BaseBackup, Problem, Tablespace
from engine.records.errors import DamagedCopy
from engine.records.lsn import format_lsn

SUPPORTED = range(13, 19)


def history_name(label: BackupLabel, segment_size: int) -> str:
    """The name of the backup history file that the archive holds of a backup (BackupHistoryFileName)."""
    return f"{label.start_segment}.{label.start_lsn % segment_size:08X}.backup"


def label_of(facts: Facts) -> BackupLabel | None:
    """The folder's backup_label; what is wrong with it is noted in the facts."""
    text = facts.text(LABEL)
    if text is None:
        return None
    try:
        return read_backup_label(text)
    except DamagedCopy as error:
        facts.fail("backup-label", error.message)
        return None


def control_of(facts: Facts) -> ControlFile | None:
    """The folder's pg_control; what is wrong with it is noted in the facts."""
    data = facts.files.get(CONTROL)
    if data is None:
        return None
    try:
        return read_control_file(data)
    except DamagedCopy as error:
        facts.fail("backup-damaged", error.message)
        return None


def make_backup(
    folder: Path,
    kind: Kind,
    repository: str,
    facts: Facts,
    label: BackupLabel | None,
    control: ControlFile | None,
    history: BackupHistory | None,
) -> BaseBackup:
    """The record. ``stop_lsn`` is the manifest's, else the backup history file's, else (from a standby) pg_control's
    minimum recovery point; else None: the WAL knows it, as the BACKUP_END record of this start."""
    manifest = facts.manifest
    version = _version(facts, control)
    from_standby = label is not None and label.from_standby
    stop_lsn = manifest.end_lsn if manifest else None
    if stop_lsn is None and history is not None:
        stop_lsn = history.stop_lsn
    if stop_lsn is None and from_standby and control is not None:
        stop_lsn = control.min_recovery_point or None
    if stop_lsn is not None and label is not None and stop_lsn < label.start_lsn:
        facts.fail(
            "backup-damaged", f"it ends at {format_lsn(stop_lsn)}, before its start {format_lsn(label.start_lsn)}"
        )
    identifier = control.system_identifier if control else None
    if manifest and manifest.system_identifier is not None:
        if identifier is not None and identifier != manifest.system_identifier:
            facts.fail("backup-damaged", "backup_manifest and pg_control are of two different clusters")
        identifier = manifest.system_identifier
    return BaseBackup(
        id=folder.name,
        repository=repository,
        path=folder,
        format="tar" if kind == "tar" else "plain",
        compression=facts.compression,
        started_at=_started_at(facts, label),
        stopped_at=_stopped_at(facts, history),
        start_lsn=label.start_lsn if label else None,
        stop_lsn=stop_lsn,
        timeline=label.timeline if label else None,
        size_bytes=facts.size_bytes,
        files_size_bytes=facts.files_size_bytes,
        version=version,
        system_identifier=identifier,
        segment_size=control.segment_size if control else None,
        incremental=label is not None and label.incremental,
        has_manifest=manifest is not None,
        from_standby=from_standby,
        tablespaces=tuple(Tablespace(oid, location, facts.space_bytes.get(oid)) for oid, location in facts.tablespaces),
        data_checksums=control.data_checksums if control else None,
        settings=tuple((name, str(value)) for name, value in control.settings.items()) if control else (),
        preload_libraries=read_list(facts.settings().get("shared_preload_libraries", "")),
        usable=facts.reason is None,
        reason=facts.reason,
        failed_check=facts.failed_check,
    )


def join_chains(backups: Sequence[BaseBackup], labels: Mapping[str, BackupLabel]) -> list[BaseBackup]:
    """Name every incremental backup's parent: the backup of the same repository and cluster that starts where it says.
    Without a usable parent it is not usable either."""
    known: dict[str, BaseBackup] = {}
    for backup in sorted(backups, key=lambda each: each.start_lsn or 0):
        label = labels.get(backup.id)
        if label is not None and label.incremental_from_lsn is not None:
            backup = _with_parent(backup, label, known.values())
        known[backup.id] = backup
    return sorted(known.values(), key=_by_start)


def flag_strangers(backups: Sequence[BaseBackup], wal_identifier: int | None) -> list[Problem]:
    """Backups of another cluster than the WAL's, or (where the WAL tells nothing) than most backups'."""
    seen = Counter(backup.system_identifier for backup in backups if backup.system_identifier is not None)
    if not seen:
        return []
    expected = wal_identifier if wal_identifier is not None else seen.most_common(1)[0][0]
    return [
        Problem(
            str(backup.path),
            f"the backup is of the cluster with system identifier {backup.system_identifier}, "
            f"the {'WAL' if wal_identifier is not None else 'others are'} of {expected}",
            "keep the copies of every cluster in folders of their own",
        )
        for backup in backups
        if backup.system_identifier not in (None, expected)
    ]


def unique_ids(repositories: Sequence[Sequence[BaseBackup]]) -> list[list[BaseBackup]]:
    """The backups of several repositories under names that are unique in the site: a name that occurs twice gets the
    repository's number in front (``2:monday``), in parents too."""
    counts = Counter(backup.id for backups in repositories for backup in backups)
    result = []
    for number, backups in enumerate(repositories, start=1):
        new = {backup.id: f"{number}:{backup.id}" for backup in backups if counts[backup.id] > 1}
        result.append(
            [
                replace(
                    backup,
                    id=new.get(backup.id, backup.id),
                    parent=None if backup.parent is None else new.get(backup.parent, backup.parent),
                )
                for backup in backups
            ]
        )
    return result


def _with_parent(backup: BaseBackup, label: BackupLabel, known: Iterable[BaseBackup]) -> BaseBackup:
    wanted = (label.incremental_from_lsn, label.incremental_from_timeline or label.timeline)
    fitting = [
        other
        for other in known
        if (other.start_lsn, other.timeline) == wanted
        and other.start_lsn != backup.start_lsn
        and (
            None in (other.system_identifier, backup.system_identifier)
            or other.system_identifier == backup.system_identifier
        )
    ]
    parent = min(fitting, key=lambda other: (not other.usable, other.id), default=None)
    if parent is not None and parent.usable:
        return replace(backup, parent=parent.id)
    if parent is None:
        reason = (
            f"incremental, but the backup that it builds on is not here: the one that starts at "
            f"{format_lsn(label.incremental_from_lsn or 0)} on timeline {wanted[1]}"
        )
    else:
        reason = f"incremental, but the backup that it builds on, {parent.id}, is not usable: {parent.reason}"
    return replace(
        backup,
        parent=parent.id if parent else None,
        usable=False,
        reason=backup.reason or reason,
        failed_check=backup.failed_check or "backup-incomplete",
    )


def _version(facts: Facts, control: ControlFile | None) -> int | None:
    text = (facts.text("PG_VERSION") or "").strip()
    version = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else None
    if "PG_VERSION" in facts.files and version is None:
        facts.fail("backup-damaged", "PG_VERSION holds no version of PostgreSQL")
    if version is not None and version not in SUPPORTED:
        facts.fail("major-version", f"it is of PostgreSQL {version}; 13 to 18 are supported")
    if version is not None and control is not None and version != control.version:
        facts.fail("major-version", f"PG_VERSION says {version}, pg_control says {control.version}")
    return version if version is not None else control.version if control else None


def _by_start(backup: BaseBackup) -> tuple[int, int, str]:
    return backup.timeline or 0, backup.start_lsn or 0, backup.id


def _started_at(facts: Facts, label: BackupLabel | None) -> datetime | None:
    """The label's time; where its zone is ambiguous, the time at which the origin wrote the label."""
    if label is not None and label.started_at is not None:
        return label.started_at
    seconds = facts.manifest.label_mtime if facts.manifest else None
    return _time(seconds if seconds is not None else facts.mtimes.get(LABEL))


def _stopped_at(facts: Facts, history: BackupHistory | None) -> datetime | None:
    """The history file's STOP TIME, else the newest file's time in the manifest, else when pg_control was written
    into the copy: for display."""
    if history is not None and history.stopped_at is not None:
        return history.stopped_at
    seconds = facts.manifest.newest_mtime if facts.manifest else None
    return _time(seconds if seconds is not None else facts.mtimes.get(CONTROL))


def _time(seconds: int | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
