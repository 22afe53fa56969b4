"""`combine`: a chain of incremental backups made into one data directory, on PostgreSQL 17 or newer."""

import os
import shutil
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from engine.postgres.programs import find_programs, programs_for
from engine.postgres.server import Server, free_port
from engine.records.copies import BaseBackup, Tablespace
from engine.records.errors import RepriseError
from engine.records.plan import TablespacePlace
from engine.steps import combine, copy, prepare
from engine.steps.protocol import Stopped
from engine.system.users import everyday_user
from tests.clusters import Cluster, Format, make_cluster, own, test_root, wait_until, wanted_programs
from tests.recorded import once_a_run
from tests.steps.copying_plans import rehearse
from tests.steps.rehearsal import Rehearsal
from tests.transfer.backups import contents, drop_templates

_REWRITTEN = 200_000  # bytes: its own manifest and label are not known before pg_combinebackup has written them


@dataclass(frozen=True)
class Chain:
    cluster: Cluster
    members: tuple[BaseBackup, ...]
    rows: int
    oid: int


@pytest.fixture(scope="module")
def chain() -> Chain:
    return once_a_run("chain", record_chain)


def record_chain() -> Chain:
    fit = [programs for programs in (*wanted_programs(), *find_programs()) if programs.version >= 17]
    if not fit:
        pytest.skip("no PostgreSQL 17 or newer here: it has no incremental backups")
    programs = programs_for(everyday_user(), fit[0], test_root() / "programs")
    cluster = make_cluster("chain", programs=programs)
    location = cluster.root / "ts"
    location.mkdir()
    own(location, cluster.user)
    cluster.sql(f"CREATE TABLESPACE side LOCATION '{location}'")
    cluster.sql("CREATE TABLE here AS SELECT g, md5(g::text) FROM generate_series(1, 20000) g")
    drop_templates(cluster)
    cluster.sql("CREATE TABLE there TABLESPACE side AS SELECT * FROM here")
    oid = cluster.value("SELECT oid FROM pg_tablespace WHERE spcname = 'side'")
    members: list[BaseBackup] = []
    kinds: tuple[tuple[str, Format], ...] = (("full", "plain"), ("second", "tar"), ("third", "plain"))
    for number, (name, format) in enumerate(kinds):
        cluster.sql("UPDATE here SET md5 = 'new' WHERE g % 2000 = 7")
        cluster.sql(f"INSERT INTO there SELECT g, 'more' FROM generate_series(1, {number + 10}) g")
        cluster.sql("CHECKPOINT")
        mapping = (f"--tablespace-mapping={location}={cluster.backups / f'{name}-ts'}",) if format == "plain" else ()
        cluster.base_backup(name, format, parent=members[-1].id if members else None, wal="fetch", extra=mapping)
        members.append(
            BaseBackup(
                id=name, repository="r", path=cluster.backups / name, format=format, incremental=number > 0,
                tablespaces=(Tablespace(oid, str(location)),),
            )
        )  # fmt: skip
    rows = cluster.value("SELECT (SELECT count(*) FROM here) + (SELECT count(*) FROM there)")
    cluster.stop()
    return Chain(cluster, tuple(members), rows, oid)


@pytest.fixture
def run(chain: Chain, open_dir: Path) -> Rehearsal:
    """Everything is staged; `combine` comes next."""
    place = str(open_dir / "into/tablespaces" / str(chain.oid))
    staged = [str(open_dir / "into/staging" / str(number)) for number in range(len(chain.members))]
    run = rehearse(
        open_dir, chain.cluster.programs, chain.members, (TablespacePlace(chain.oid, place, place),),
        args={"members": staged, "into": str(open_dir / "into/data")},
    )  # fmt: skip
    prepare.apply(replace(run, undo_records=[]))
    for number, into in enumerate(staged):
        copy.apply(replace(run, undo_records=[], args={"backup": number, "into": into}))
    return replace(run, progresses=[])


def test_the_combined_chain_starts_and_holds_every_row(chain: Chain, run: Rehearsal, open_dir: Path) -> None:
    combine.apply(run)
    data = open_dir / "into/data"
    assert not (open_dir / "into/staging").exists()
    assert not (open_dir / "into/data.combining").exists()
    assert [name for name in contents(data) if "reprise" in name] == []
    done = [progress[0] for progress in run.progresses]
    assert done == sorted(done)
    total = run.progresses[-1][1]
    assert total == run.progresses[-1][0]
    assert run.progresses[0][:2] == (0, total)
    assert abs(total - size(data) - size(open_dir / "into/tablespaces")) < _REWRITTEN
    (data / "recovery.signal").touch()
    (open_dir / "s").mkdir()
    shutil.chown(open_dir / "s", chain.cluster.user.uid, chain.cluster.user.gid)
    server = Server(chain.cluster.programs, data, chain.cluster.user, open_dir / "s", free_port(), open_dir / "log")
    restore = f'cp "{chain.cluster.archive}/%f" "%p"'
    server.start({"archive_mode": "off", "restore_command": restore, "recovery_target": "immediate"})
    try:
        server.wait_accepting()
        with server.connect() as connection:
            query = "SELECT (SELECT count(*) FROM here) + (SELECT count(*) FROM there)"
            row = connection.execute(query).fetchone()
            assert row is not None and row[0] == chain.rows
            where = connection.execute("SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE oid > 16383")
            assert where.fetchone() == (str(open_dir / "into/tablespaces" / str(chain.oid)),)
    finally:
        server.stop("immediate")


def size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def test_combine_applied_again_after_its_end_changes_nothing(run: Rehearsal, open_dir: Path) -> None:
    combine.apply(run)
    before = contents(open_dir / "into")
    combine.apply(run)
    assert contents(open_dir / "into") == before


def test_combine_undone_leaves_nothing_of_its_own(run: Rehearsal, open_dir: Path) -> None:
    combine.apply(run)
    combine.undo(run)
    combine.undo(run)
    assert sorted(path.name for path in (open_dir / "into").iterdir()) == [".reprise", "own"]


def test_combine_stopped_in_the_middle_leaves_no_program_and_can_be_resumed(run: Rehearsal, open_dir: Path) -> None:
    into = open_dir / "into"

    def stop() -> None:
        raise Stopped

    run.at_safe_point = stop
    hold_programs(run, open_dir)
    with pytest.raises(Stopped):
        combine.apply(run)
    assert combining(into) == []
    assert not (into / "data").exists()
    release_programs(run)
    run.at_safe_point = lambda: None
    combine.apply(run)
    assert (into / "data/global/pg_control").exists()


def test_a_program_that_outlived_its_engine_is_ended_before_the_folder_is_used_again(
    run: Rehearsal, open_dir: Path
) -> None:
    into = open_dir / "into"
    hold_programs(run, open_dir)
    engine = os.fork()
    if engine == 0:
        try:
            combine.apply(run)
        finally:
            os._exit(0)
    wait_until(lambda: combining(into) != [], "no pg_combinebackup was started")
    os.kill(engine, signal.SIGKILL)
    os.waitpid(engine, 0)
    strays = combining(into)
    release_programs(run)
    run.undo_records.append(
        {
            "made": [str(into / "data"), str(into / "data.combining")],
            "filled": [],
            "parents": [str(into / "tablespaces")],
        }
    )
    combine.apply(run)
    assert not [stray for stray in strays if stray.is_running()]
    assert (into / "data/global/pg_control").exists()


def test_a_staged_file_that_is_no_incremental_one_ends_the_step(run: Rehearsal, open_dir: Path) -> None:
    incremental = next((open_dir / "into/staging/2").rglob("INCREMENTAL.*"))
    incremental.write_bytes(b"something else")
    with pytest.raises(RepriseError, match="incremental"):
        combine.apply(run)
    assert not (open_dir / "into/data").exists()


def hold_programs(run: Rehearsal, folder: Path) -> None:
    """Put a pg_combinebackup into the plan that hangs."""
    assert run.plan.layout is not None
    real = run.plan.layout.programs
    bin_dir = folder / "bin"
    bin_dir.mkdir()
    program = bin_dir / "pg_combinebackup"
    os.mkfifo(bin_dir / "never written to")
    (bin_dir / "never written to").chmod(0o666)
    program.write_text(f"#!/bin/sh\nread word < '{bin_dir}/never written to'\n")
    program.chmod(0o755)
    run.facts["programs"] = real
    run.plan = replace(run.plan, layout=replace(run.plan.layout, programs=replace(real, bin_dir=str(bin_dir))))


def release_programs(run: Rehearsal) -> None:
    assert run.plan.layout is not None
    run.plan = replace(run.plan, layout=replace(run.plan.layout, programs=run.facts["programs"]))


def combining(folder: Path) -> list[psutil.Process]:
    """The pg_combinebackup processes that write below a folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            if str(folder / "data.combining") in words and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
