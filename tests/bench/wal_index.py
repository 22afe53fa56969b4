"""The WAL index against pg_waldump, side by side, on WAL full of page images and on dense WAL.

The index is made from nothing each time, child processes and SQLite included, and verifies every record's checksum as
pg_waldump does. Both name every transaction end; a difference fails the benchmark.
"""

import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.postgres.programs import choose_programs, programs_for
from engine.postgres.running import run
from engine.postgres.server import Server, free_port
from engine.records.history import Piece
from engine.records.survey import Programs
from engine.system.users import everyday_user, is_root
from engine.wal.index import WalIndex
from tests.wal.real_wal import list_files, running, waldump

SEGMENT_SIZE = 16 << 20
ROUNDS = 5
GOALS = {"page images": 2.0, "dense": 4.0}
TEXT_GOAL = 5.0

_DENSE = """
DO $$ BEGIN
    FOR i IN 1..1000000 LOOP INSERT INTO ledger VALUES (i); UPDATE ledger SET n = -i WHERE n = i; COMMIT; END LOOP;
END $$
"""
_PAGE_IMAGES = (
    "CREATE TABLE wide WITH (fillfactor = 50) AS SELECT i, repeat('x', 800) t FROM generate_series(1, 200000) i",
    # Each round touches each page once, for the first time since a checkpoint.
    *(statement for n in range(42) for statement in ("CHECKPOINT", f"UPDATE wide SET t = t WHERE i % 9 = {n % 9}")),
)


def main(arguments: Sequence[str] = ()) -> None:
    """Print the ratios. ``--quick``: one round."""
    rounds = 1 if "--quick" in arguments else ROUNDS
    folder = Path(tempfile.mkdtemp(prefix="reprise-bench-wal-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        programs = programs_for(everyday_user(), choose_programs(), folder / "programs")
        print(f"PostgreSQL {programs.version_text}, medians of {rounds}", flush=True)
        for name, archive in _make(programs, folder).items():
            _compare(name, programs, archive, folder, rounds)
    finally:
        shutil.rmtree(folder)


def _make(programs: Programs, folder: Path) -> dict[str, Path]:
    """One cluster; its archive is changed between the two workloads."""
    user = everyday_user()
    archives = {name: folder / name.replace(" ", "-") for name in GOALS}
    data, sockets = folder / "data", folder / "s"
    for place in (*archives.values(), sockets):
        place.mkdir()
    if is_root():
        for place in (folder, sockets, *archives.values()):
            shutil.chown(place, user.uid, user.gid)
    run(programs, "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", user=user)
    server = Server(programs, data, user, sockets, free_port(), folder / "log")
    settings = {"archive_mode": "on", "max_wal_size": "8GB", "autovacuum": "off", "synchronous_commit": "off"}
    work = {"page images": _PAGE_IMAGES, "dense": ("CREATE TABLE ledger (n int PRIMARY KEY)", _DENSE)}
    for name, archive in archives.items():
        with (
            running(server, archive_command=f"cp %p {archive}/%f", **settings),
            server.connect(timeout=10) as connection,
        ):
            for statement in (
                "SET statement_timeout = 0",
                "SELECT pg_switch_wal()",
                *work[name],
                "SELECT pg_switch_wal()",
            ):
                connection.execute(statement)
    for archive in archives.values():
        # Shutting down writes a last segment, which belongs to neither workload.
        for path in sorted(archive.iterdir()):
            if len(path.name) != 24:
                path.unlink()
    return archives


def _compare(name: str, programs: Programs, archive: Path, folder: Path, rounds: int) -> None:
    files = list_files(archive, SEGMENT_SIZE)
    first, last = Path(files[0].path).name, Path(files[-1].path).name
    command = [f"{programs.bin_dir}/pg_waldump", "--rmgr=Transaction", "-p", str(archive), first, last]
    cache = folder / "index.sqlite"

    def waldump_to_null() -> None:
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def waldump_read() -> None:
        waldump(programs, archive, first, last)

    def index() -> None:
        for path in folder.glob("index.sqlite*"):
            path.unlink()
        opened = WalIndex.open(cache)
        opened.refresh(files, {})
        opened.close()

    ways: dict[str, Callable[[], None]] = {
        "pg_waldump": waldump_to_null, "pg_waldump, read by Python": waldump_read, "index": index,
    }  # fmt: skip
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for path in files:  # the same cache state for all
        Path(path.path).read_bytes()
    for turn in range(rounds):
        order = list(ways)
        for way in order[turn % 3 :] + order[: turn % 3]:
            began = time.perf_counter()
            ways[way]()
            seconds[way].append(time.perf_counter() - began)
    opened = WalIndex.open(cache)
    if opened.problems():
        raise SystemExit(f"{name}: {opened.problems()[0]}")
    mine = [(end.lsn, end.xid, end.at, end.kind) for end in opened.ends(Piece(1, 0, 1 << 64), limit=1 << 40)]
    opened.close()
    theirs = [(end.lsn, end.xid, end.at, end.kind) for end in waldump(programs, archive, first, last)]
    if mine != theirs:
        raise SystemExit(f"{name}: the index and pg_waldump differ ({len(mine)} and {len(theirs)} transaction ends)")
    megabytes = len(files) * SEGMENT_SIZE / 1e6
    middle = {way: statistics.median(taken) for way, taken in seconds.items()}
    print(f"{name}: {megabytes:.0f} MB, {len(mine)} transaction ends, equal")
    for way, taken in middle.items():
        print(f"  {way:28} {taken:7.2f} s  {megabytes / taken:6.0f} MB/s")
    for against, goal in (("pg_waldump", GOALS[name]), ("pg_waldump, read by Python", TEXT_GOAL)):
        ratio = middle[against] / middle["index"]
        print(f"  {ratio:4.1f} times as fast as {against} (goal {goal:g}: {'met' if ratio >= goal else 'missed'})")


if __name__ == "__main__":
    main()
