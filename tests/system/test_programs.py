"""One program, run to its end."""

import os
import signal
from pathlib import Path

import pytest

from engine.postgres.processes import is_alive
from engine.postgres.running import run
from engine.records.errors import RepriseError, Unreachable
from engine.records.survey import OsUser, Programs
from engine.system.programs import run_program
from engine.system.users import is_root
from tests.clusters import wait_until


@pytest.mark.skipif(not is_root(), reason="only root can become somebody else")
def test_a_program_runs_with_the_users_uid_gid_and_groups_only(os_user: OsUser) -> None:
    told = run_program(["/usr/bin/id", "-u"], os_user) + run_program(["/usr/bin/id", "-G"], os_user)
    uid, groups = told.splitlines()
    assert int(uid) == os_user.uid
    assert {int(group) for group in groups.split()} == set(os.getgrouplist(os_user.name, os_user.gid))


def test_nothing_of_the_callers_environment_is_inherited(monkeypatch: pytest.MonkeyPatch, os_user: OsUser) -> None:
    monkeypatch.setenv("PGDATA", "/somewhere")
    monkeypatch.setenv("PGHOST", "production")
    monkeypatch.setenv("LC_ALL", "ru_RU.UTF-8")
    told = run_program(["/usr/bin/env"], os_user, env={"EXTRA": "1"}).splitlines()
    assert "LC_ALL=C" in told and "EXTRA=1" in told
    assert not [line for line in told if line.startswith("PG")]


def test_a_failing_program_is_told_with_its_own_last_lines(programs: Programs, os_user: OsUser, open_dir: Path) -> None:
    (open_dir / "occupied").touch()
    with pytest.raises(RepriseError, match="initdb failed with exit code 1") as failure:
        run(programs, "initdb", "-D", str(open_dir), user=os_user, cwd=open_dir)
    assert failure.value.cause is not None and "exists but is not empty" in failure.value.cause


def test_a_program_that_does_not_end_is_stopped(os_user: OsUser) -> None:
    with pytest.raises(Unreachable, match=r"did not end within 0\.2 seconds"):
        run_program(["/bin/sleep", "60"], os_user, timeout=0.2)


def test_a_program_that_leaves_its_output_to_another_is_not_waited_for() -> None:
    left = int(run_program(["/bin/sh", "-c", "sleep 60 & echo $!"]))
    assert is_alive(left)
    os.kill(left, signal.SIGKILL)


def test_a_program_is_ended_where_its_hearer_wants_no_more() -> None:
    heard: list[str] = []

    def enough(line: str) -> None:
        heard.append(line)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_program(["/bin/sh", "-c", "echo $$; exec sleep 60"], on_line=enough)
    assert not is_alive(int(heard[0]))


def test_a_missing_program_is_named(programs: Programs) -> None:
    with pytest.raises(RepriseError, match="pg_nonsense"):
        run(programs, "pg_nonsense")


def test_lines_are_heard_in_order_and_long_output_is_bounded() -> None:
    heard: list[str] = []
    kept = run_program(
        ["/bin/sh", "-c", "i=0; while [ $i -lt 5000 ]; do echo $i; i=$((i+1)); done"], on_line=heard.append
    )
    assert heard == [str(number) for number in range(5000)]
    assert kept.splitlines() == heard[-2000:]


def test_arguments_are_not_read_by_a_shell(open_dir: Path) -> None:
    name = f"$(touch {open_dir}/trace) `id` '\" ; x"
    assert run_program(["/bin/echo", name]) == name + "\n"
    assert list(open_dir.iterdir()) == []


def test_input_is_handed_over() -> None:
    assert run_program(["/bin/cat"], input="SELECT 1;\n") == "SELECT 1;\n"


def test_a_program_that_must_not_outlive_us_ends_when_we_are_killed(os_user: OsUser, open_dir: Path) -> None:
    noted = open_dir / "pid"
    pid = os.fork()
    if pid == 0:
        try:
            run_program(["/bin/sh", "-c", f"echo $$ >{noted}; exec sleep 60"], os_user, timeout=None, outlives=False)
        finally:
            os._exit(1)
    wait_until(lambda: noted.exists() and noted.read_text().endswith("\n"), "it did not start")
    program = int(noted.read_text())
    assert is_alive(program)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    wait_until(lambda: not is_alive(program), "it lives on")
