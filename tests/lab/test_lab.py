"""The lab, built for real: what it holds, that it is used again, that nothing of it runs on."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine import acts
from engine.acts.practising import SiteCopies
from engine.lab.building import build_lab
from engine.lab.lab import Lab
from engine.lab.place import DONE, MARK
from engine.postgres.connecting import connect
from engine.postgres.server import Server, free_port
from engine.records.errors import Refused, RepriseError
from engine.records.plan import Destination
from engine.records.runs import RunState
from engine.records.survey import Programs
from engine.records.target import RecoveryTarget
from engine.site import read_site
from tests.clusters import Cluster, kill_processes_below, processes_below, test_root, wait_until
from tests.end_to_end.terminal import terminal
from tests.paper.by_hand import commands, type_all
from tests.transfer.backups import files_of

pytestmark = [pytest.mark.slow, pytest.mark.chains]


@pytest.fixture(scope="module")
def built(programs: Programs) -> Iterator[tuple[Lab, list[tuple[int, int, str]]]]:
    steps: list[tuple[int, int, str]] = []
    place = test_root() / f"lab-{os.getpid()}"
    progress = lambda *step: steps.append(step)  # noqa: E731
    lab = acts.demo(place, state_of(place), reset=False, progress=progress, bin_dir=programs.bin_dir)
    yield lab, steps
    kill_processes_below(place)


def state_of(place: Path) -> Path:
    return place.with_name(f"{place.name}-state")


def base_backups(lab: Lab) -> list[Path]:
    return sorted(path for path in lab.base_backups.iterdir() if path.suffix != ".beside")


@pytest.fixture(scope="module")
def lab(built: tuple[Lab, list[tuple[int, int, str]]]) -> Iterator[Lab]:
    lab = built[0]
    yield lab
    lab.stop_server()


def test_its_progress_is_told_step_by_step(built: tuple[Lab, list[tuple[int, int, str]]]) -> None:
    steps = built[1]
    assert [done for done, _, _ in steps] == list(range(len(steps)))
    assert steps[-1][0] == steps[-1][1]


def test_after_building_nothing_runs(built: tuple[Lab, object]) -> None:
    lab = built[0]
    assert processes_below(lab.directory) == []
    assert not [entry for entry in Path("/proc").glob("[0-9]*/cmdline") if _mentions(entry, lab)]


def test_it_has_three_base_backups_as_reprise_takes_them(lab: Lab) -> None:
    first, second, third = base_backups(lab)
    assert (first / "PG_VERSION").exists()
    assert [path.suffix for path in second.glob("base.tar*")] in ([".zst"], [".gz"])
    assert third.name.endswith("-incremental" if lab.programs.version >= 17 else "-full")
    assert all((backup / "backup_manifest").exists() for backup in (first, second, third))
    assert all((backup.with_name(f"{backup.name}.beside") / "cluster.json").exists() for backup in (first, second))


def test_each_of_its_copies_is_listed_was_taken_by_a_run_and_verifies(lab: Lab) -> None:
    desk = acts.open_desk(lab.site_file, state_of(lab.directory))
    taken = {run.taken.path for run in acts.runs(desk) if run.taken and run.outcome == "completed"}
    view = acts.look(desk)
    listed = {str(each.path) for each in (*view.catalog.base_backups, *view.catalog.dumps)}
    assert len(listed) == 4 and listed <= taken
    assert len(taken) == 4 + 2 + 1 + (shutil.which("git") is not None)  # and snapshots, installation, source code
    assert all(proof.ok for proof in acts.verify(desk))


def test_all_of_it_comes_back_by_hand_with_the_runbook(lab: Lab, open_dir: Path) -> None:
    """Database, files, dump, source code and installation, by the page's own commands."""
    desk = acts.open_desk(lab.site_file, state_of(lab.directory))
    acts.read_archive(desk)
    acts.write_runbook(desk, desk.state / "runbook.md", "markdown")
    new, ports = open_dir / "new", {"PORT": str(free_port()), "DUMP_PORT": str(free_port())}
    script = commands((desk.state / "runbook.md").read_text())
    told = type_all(script, new, lab.programs, lab.user, LIVE=str(open_dir / "live"), DATABASE="restored", **ports)
    assert "backup successfully verified" in told and "question 3 of the site, must be t: t" in told
    snapshot = sorted(path for path in lab.media_snapshots.iterdir() if path.is_dir())[-1]
    assert files_of(new / "files") == files_of(snapshot)
    assert (new / "environment" / "src").is_dir()
    assert (new / "source" / ".git").is_dir() or shutil.which("git") is None
    dumped = Server(lab.programs, new / "dumped", lab.user, new / "run", int(ports["DUMP_PORT"]), new / "log")
    with dumped.connect(dbname="restored") as connection:
        row = connection.execute("SELECT count(*) FROM attachments").fetchone()
    assert row is not None and row[0] > 0


def test_its_archive_is_unbroken(lab: Lab) -> None:
    numbers = [int(path.name[16:], 16) for path in sorted(lab.archive.glob("0" * 7 + "1" + "?" * 16))]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(numbers) >= 5


def test_it_has_two_snapshots_whose_notes_are_true_and_the_second_shares_with_the_first(lab: Lab) -> None:
    notes = sorted(lab.media_snapshots.glob("*.json"))
    assert len(notes) == 2
    for path in notes:
        note = json.loads(path.read_text())
        files = [file for file in path.with_suffix("").rglob("*") if file.is_file()]
        assert path.with_suffix(".catalogue.zst").exists()
        assert note["files"] == len(files) > 100
        assert note["bytes"] == sum(file.stat().st_size for file in files)
        assert datetime.fromisoformat(note["started_at"]) <= datetime.fromisoformat(note["stopped_at"])
    first, second = (path.with_suffix("") for path in notes)
    shared = [
        file for file in first.rglob("*.*") if file.is_file() and (second / file.relative_to(first)).samefile(file)
    ]
    assert len(shared) > 100


def test_its_site_file_is_right_and_leads_to_its_server(lab: Lab) -> None:
    site = read_site(lab.site_file)
    assert site.database.data_dir == str(lab.data_dir)
    assert site.database.run_as == lab.user.name
    assert lab.start_server()
    assert lab.start_server()
    with lab.server.connect() as connection:
        assert connection.execute("SHOW data_checksums").fetchone() == ("on",)
        assert connection.execute(site.verify.sql[0]).fetchone() == (True,)  # type: ignore[call-overload]


def test_a_table_is_gone_and_the_data_does_not_say_since_when(lab: Lab) -> None:
    assert lab.start_server()
    with lab.server.connect() as connection:
        assert connection.execute("SELECT to_regclass('attachments')").fetchone() == (None,)
        accident = datetime.fromisoformat(lab.truth()["at"])
        row = connection.execute("SELECT max(at) > %s FROM audit_trail", (accident,)).fetchone()
        assert row == (True,)  # life went on
        # the longest silence in the trail is not the accident's
        around = connection.execute(
            "SELECT count(*) FROM audit_trail WHERE at BETWEEN %s::timestamptz - interval '1 s' AND "
            "%s::timestamptz + interval '1 s'",
            (accident, accident),
        ).fetchone()
        assert around is not None and around[0] > 10
    later = [path for path in lab.media.rglob("*") if path.is_file() and path.stat().st_mtime > accident.timestamp()]
    assert later


def test_the_first_backup_holds_cards_whose_files_are_there(lab: Lab) -> None:
    """Recovered by PostgreSQL itself to just before the accident: every card's file lies in media, and is right."""
    truth = lab.truth()
    first = base_backups(lab)[0]
    copy = Cluster(lab.directory, lab.programs, lab.user, lab.server, 1 << 20)
    assert copy.data_dir == lab.data_dir
    lab.stop_server()
    target = lab.directory / "data-check"
    subprocess.run(["cp", "-a", str(first), str(target)], check=True)
    (target / "recovery.signal").touch()
    server = type(lab.server)(lab.programs, target, lab.user, lab.socket_dir, lab.port, lab.server.log)
    server.start({
        "archive_mode": "off", "restore_command": f'cp "{lab.archive}/%f" "%p"', "recovery_target_inclusive": "off",
        "recovery_target_xid": str(truth["xid"]), "recovery_target_action": "promote", "hot_standby": "off",
    })  # fmt: skip
    try:
        server.wait_accepting()
        with server.connect() as connection:
            cards = connection.execute("SELECT path, size, sha256 FROM attachments").fetchall()
            for query in read_site(lab.site_file).verify.sql:
                assert connection.execute(query).fetchone() == (True,), query  # type: ignore[call-overload]
    finally:
        server.stop("immediate")
    assert len(cards) > 350
    for path, size, digest in cards:
        content = (lab.media / path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (size, digest)


def test_what_was_lost_comes_back_from_its_newest_backup(lab: Lab) -> None:
    """From the incremental one, where the version has them: a chain that Reprise took is one that it restores."""
    desk = acts.open_desk(lab.site_file, state_of(lab.directory))
    acts.read_archive(desk)
    newest = base_backups(lab)[-1].name
    target = RecoveryTarget("xid", xid=lab.truth()["xid"], exclusive=True, backup=newest)
    into = test_root() / f"rescued-{os.getpid()}"
    run = acts.start(desk, acts.plan(desk, target, Destination("side-copy", str(into))))
    done = acts.follow(desk, run, lambda state: None)
    assert done.outcome == "completed", done.error
    assert done.host is not None and done.port is not None
    with connect(host=done.host, port=done.port, user="postgres", as_user=lab.user) as connection:
        row = connection.execute("SELECT count(*) FROM attachments").fetchone()
    assert row is not None and row[0] > 350
    acts.leave_demo(lab, desk.state)
    assert processes_below(into) == []


def test_a_second_start_uses_it_again(lab: Lab) -> None:
    before = (lab.directory / DONE).stat()
    steps: list[object] = []
    again = acts.demo(lab.directory, state_of(lab.directory), reset=False, progress=lambda *step: steps.append(step))
    assert (again.programs, again.user, again.port) == (lab.programs, lab.user, lab.port)
    assert (lab.directory / DONE).stat().st_ino == before.st_ino
    assert steps == []


@pytest.mark.parametrize("how", ["q", "hang up", "SIGTERM"])
def test_leaving_the_program_leaves_no_process_behind(lab: Lab, how: str) -> None:
    lab.stop_server()
    state = state_of(lab.directory)
    with terminal("-m", "tui", "--state", str(state), "demo", "--dir", str(lab.directory)) as shown:
        shown.until("REACHABLE")
        assert lab.server.pid() is not None
        if how == "q":
            shown.press("q")
            assert shown.ended() == 0
        elif how == "hang up":
            shown.hang_up()
        else:
            os.kill(shown.pid, signal.SIGTERM)
            shown.ended()
    assert lab.server.pid() is None
    assert processes_below(lab.directory) == []
    assert not [each for each in Path("/proc").glob("[0-9]*/cmdline") if _mentions(each, lab)]


def test_a_lab_of_another_postgresql_than_the_one_that_is_asked_for_is_left_alone(lab: Lab) -> None:
    other = replace(lab.programs, version_text="12.99")
    with pytest.raises(Refused, match="was built with PostgreSQL"):
        build_lab(
            lab.directory,
            test_root(),
            SiteCopies(test_root()),
            reset=False,
            progress=lambda *step: None,
            programs=other,
        )
    assert (lab.directory / DONE).exists()


def test_a_data_directory_in_mid_recovery_is_not_started(lab: Lab) -> None:
    lab.stop_server()
    (lab.data_dir / "standby.signal").touch()
    assert not lab.start_server()
    (lab.data_dir / "standby.signal").unlink()
    assert lab.start_server()


def test_life_goes_on_when_asked_to(lab: Lab) -> None:
    assert lab.start_server()
    with lab.server.connect() as connection:
        count = "SELECT count(*) FROM audit_trail"
        before = connection.execute(count).fetchone()
        workload = lab.start_workload()
        wait_until(lambda: connection.execute(count).fetchone() != before, "nobody worked")
        workload.stop()
        after = connection.execute(count).fetchone()
        time.sleep(0.2)
        assert connection.execute(count).fetchone() == after


def test_writers_that_lose_their_server_say_so(lab: Lab) -> None:
    assert lab.start_server()
    workload = lab.start_workload()
    with lab.server.connect() as connection:
        wait_until(
            lambda: connection.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
            .fetchone() != (1,), "nobody connected",
        )  # fmt: skip
    lab.server.stop("immediate")
    with pytest.raises(RepriseError, match="writers failed"):
        workload.stop()


@pytest.mark.parametrize("blow", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_building_is_built_anew(blow: signal.Signals, programs: Programs, lab: Lab) -> None:
    """Killed in the middle of a base backup: no writer runs on, and the next start does not take the half-built lab for
    a lab. (What a killed builder's server and copy were doing ends with the next start.)"""
    place = test_root() / f"half-{blow.name}"
    desk = acts.Desk(read_site(lab.site_file), lab.site_file, state_of(place))
    build = (
        "import pathlib, sys\nfrom engine import acts\n"
        "acts.demo(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), reset=False, bin_dir=sys.argv[3],\n"
        "          progress=lambda done, of, what: print(what, flush=True))\n"
    )
    builder = subprocess.Popen(
        [sys.executable, "-c", build, str(place), str(desk.state), programs.bin_dir], stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert builder.stdout is not None
    for line in builder.stdout:
        if "base backup" in line:
            break
    wait_until(lambda: any(_takes_a_base_backup(run) for run in acts.runs(desk)), "no base backup is being taken")
    half = Lab(place, programs, lab.user, 0)
    builder.send_signal(blow)
    builder.wait(60)
    builder.stdout.close()
    wait_until(lambda: not [e for e in Path("/proc").glob("[0-9]*/cmdline") if _mentions(e, half)], "a writer ran on")
    if blow == signal.SIGTERM:
        assert processes_below(place) == []
        assert not any(run.pid for run in acts.runs(desk))
    assert (place / MARK).exists()
    assert not (place / DONE).exists()

    class Seen(Exception):
        pass

    def first_step(*step: object) -> None:
        raise Seen

    with pytest.raises(Seen):  # it begins from the beginning, and whatever ran there is stopped
        acts.demo(place, desk.state, reset=False, bin_dir=programs.bin_dir, progress=first_step)
    assert processes_below(place) == []
    assert not any(run.pid for run in acts.runs(desk))
    assert not (place / "data").exists()


def _takes_a_base_backup(run: RunState) -> bool:
    return run.pid is not None and run.plan.copying is not None and run.plan.copying.kind == "base"


def _mentions(cmdline: Path, lab: Lab) -> bool:
    try:
        return b"engine.lab.workload" in (text := cmdline.read_bytes()) and os.fsencode(lab.directory) in text
    except OSError:
        return False
