"""WAL streamed from the site's live server into its archive."""

import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from engine.acts.archiving import asked, mark, place_obstacles, server_user
from engine.acts.desk import Desk, writable
from engine.archiving.streaming import empty_unwritten, goes_on_with, is_known_to, slot_of, stream_folder, unbounded
from engine.formats.history_file import Fork, read_history
from engine.postgres.connecting import Connection, QueryFailed
from engine.postgres.programs import choose_programs
from engine.postgres.running import run
from engine.records.errors import DamagedCopy, RepriseError
from engine.records.lsn import SegmentName, parse_segment, segment_of
from engine.records.status import Archiving
from engine.records.survey import OsUser
from engine.system.users import is_root

_LOST = "SELECT wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = %s"
_WRITTEN_NOW = """
SELECT pg_walfile_name(pg_current_wal_insert_lsn()),
       (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size')
"""


def stream_wal(desk: Desk, *, accept_gap: bool = False, say: Callable[[str], None]) -> Archiving:
    """pg_receivewal with a slot into the archive, until it is interrupted or fails. Where the slot has lost WAL, and
    only there, ``accept_gap`` begins anew with the segment that the server writes now.

    ``ok`` False: nothing was begun. The folder is not the archive, where what arrives would be given up by the slot; or
    the slot has lost WAL. Raises RepriseError."""
    user, database = server_user(writable(desk)), desk.site.database
    if against := place_obstacles(desk, user):
        return Archiving(False, findings=tuple(against))
    slot = slot_of(desk.site.name)
    findings = []
    with asked(desk, user) as (connection, now, version):
        size = int(
            connection.execute("SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'").fetchall()[0][0]
        )
        row = connection.execute(_LOST, (slot,)).fetchone()
        lost = row is not None and bool(row[0])
        if lost and not accept_gap:
            told = "the server has given up WAL that the stream has not (max_slot_wal_keep_size)"
            return Archiving(False, findings=(f"{told}; leave it out with: reprise archiving stream --accept-gap",))
        mark(desk, user)
        folder, told_of_it = _stream_folder(desk, connection, version, user)
        findings += told_of_it
        if lost:
            segment = _begin_anew(connection, slot, folder, user)
            findings.append(f"the stream begins with {segment}; for what is missing before it, take a base backup")
        if unbounded(now):
            findings.append(
                "max_slot_wal_keep_size is not set: if this stream stops for long, its slot fills the server's disk; "
                "set it with: reprise archiving set-up --stream"
            )
    for finding in findings:
        say(finding)
    programs = choose_programs(version, database.bin_dir)
    reach = ["-h", database.host, "-p", str(database.port), "-U", database.user, "--no-password"]
    run(programs, "pg_receivewal", *reach, f"--slot={slot}", "--create-slot", "--if-not-exists", user=user)
    words = [*reach, f"--slot={slot}", f"--directory={folder}", "--synchronous", "--verbose"]

    def hear(line: str) -> None:
        say(line)
        if "error:" in line:  # it tries again in five seconds
            empty_unwritten(folder, size)

    previous = signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    try:
        run(programs, "pg_receivewal", *words, user=user, timeout=None, on_line=hear)
    except KeyboardInterrupt:
        return Archiving(True, findings=tuple(findings))
    finally:
        signal.signal(signal.SIGTERM, previous)
    return Archiving(True, findings=tuple(findings))


def _begin_anew(connection: Connection, slot: str, archive: Path, user: OsUser) -> str:
    """Give a lost slot up, and have pg_receivewal begin with the segment that the server writes now: it goes on with
    the newest one in its folder, from the start where that is unfinished (FindStreamingStart in pg_receivewal.c); an
    empty file counts. What is there already stays. Raises RepriseError."""
    try:
        connection.execute("SELECT pg_drop_replication_slot(%s)", (slot,))
        row = connection.execute("SELECT pg_walfile_name(pg_current_wal_insert_lsn())").fetchone()
        assert row is not None
        segment = str(row[0])
        _begin_with(archive, segment, user)
    except (QueryFailed, OSError) as failure:
        raise RepriseError("the stream cannot begin anew", cause=str(failure).strip()) from None
    return segment


def _begin_with(folder: Path, segment: str, user: OsUser) -> None:
    """Raises OSError."""
    if not any(folder.glob(f"{segment}*")):
        unfinished = folder / f"{segment}.partial"
        unfinished.open("xb").close()
        if is_root():
            os.chown(unfinished, user.uid, user.gid, follow_symlinks=False)


def _stream_folder(desk: Desk, connection: Connection, version: int, user: OsUser) -> tuple[Path, list[str]]:
    """The folder that pg_receivewal writes into, and what is to be said of it. The archive itself, but where its newest
    segment was left behind by a recovery to an earlier moment, or was adopted and then recovered from: then one of the
    server's own timeline, begun where that left the one before. Raises RepriseError."""
    wal, pg_wal = Path(desk.site.database.repository[0].wal), Path(desk.site.database.data_dir, "pg_wal")
    try:
        row = connection.execute(_WRITTEN_NOW).fetchone()
        assert row is not None
        size = int(row[1])
        now = parse_segment(str(row[0]), size)
        names = [path.name for path in wal.iterdir()]
        forks = _forks(now.timeline, (pg_wal, wal))
        start = goes_on_with(names, size)
        if start is None or forks is None or is_known_to(start, size, now.timeline, forks):
            return wal, []
        folder = wal / stream_folder(version, now.timeline)
        told = [f"{wal} ends with WAL that this server has left behind: its stream goes into {folder}"]
        folder.mkdir(mode=0o755, exist_ok=True)
        if is_root():
            os.chown(folder, user.uid, user.gid, follow_symlinks=False)
        if goes_on_with((path.name for path in folder.iterdir()), size) is None:
            own = goes_on_with((name for name in names if name.startswith(f"{now.timeline:08X}")), size)
            first = own or (SegmentName(now.timeline, segment_of(forks[-1].lsn, size)) if forks else now)
            if not (pg_wal / first.text(size)).exists():
                first = now
                told.append(f"it begins with {now.text(size)}; for what is missing before it, take a base backup")
            _begin_with(folder, first.text(size), user)
        return folder, told
    except (QueryFailed, OSError) as failure:
        raise RepriseError("the stream cannot begin", cause=str(failure).strip()) from None


def _forks(timeline: int, places: Iterable[Path]) -> list[Fork] | None:
    """Where a timeline left its ancestors; None where that is not known."""
    for place in places if timeline > 1 else ():
        with suppress(OSError, UnicodeDecodeError, DamagedCopy):
            return read_history((place / f"{timeline:08X}.history").read_text("utf-8"), timeline)
    return [] if timeline == 1 else None
