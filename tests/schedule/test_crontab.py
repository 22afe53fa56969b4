"""The schedule installed and removed with the machine's own crontab, as root and as an ordinary user."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.cli import main as command_line
from engine.records.survey import OsUser
from engine.schedule.cron import cron_runs
from engine.schedule.wanted import who_keeps_time
from engine.system.users import current_user, everyday_user
from tests.clusters import wait_until
from tests.site_files import site_text

OTHERS = "# mine\n17 3 1 1 * /bin/true\n"
USERS = [current_user()] if os.geteuid() else [current_user(), everyday_user()]

pytestmark = [
    pytest.mark.skipif(shutil.which("crontab") is None, reason="crontab is not on this machine (package cron)"),
    pytest.mark.skipif(who_keeps_time() != "cron", reason="systemd keeps time on this machine, not cron"),
]


@contextmanager
def being(user: OsUser) -> Iterator[None]:
    """This process is ``user``, for crontab too, which goes by the real uid. (A process of his own could not always
    read the Python that runs the tests.)"""
    ours = os.geteuid()
    if user.uid == ours:
        yield
        return
    os.setresuid(user.uid, user.uid, ours)
    try:
        yield
    finally:
        os.setresuid(ours, ours, ours)


def crontab(*words: str, input: str | None = None) -> str | None:
    """None: it fails, as where there is none."""
    done = subprocess.run(["crontab", *words], input=input, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


@pytest.fixture(params=USERS, ids=lambda user: user.name)
def user(request: pytest.FixtureRequest) -> Iterator[OsUser]:
    """One who has no crontab, and has none afterwards: what is somebody's own is not put at risk."""
    user: OsUser = request.param
    with being(user):
        if crontab("-l") is not None:
            pytest.skip(f"{user.name} has a crontab of their own")
    yield user
    with being(user):
        crontab("-r")


def test_a_schedule_is_installed_shown_and_removed_and_the_users_own_lines_stay(
    user: OsUser, open_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = open_dir / "site.toml"
    words = ["--site", str(site), "--state", str(open_dir / "state"), "--json", "--yes"]

    def write(when: str) -> None:
        site.write_text(site_text(open_dir, f'[schedule]\nbase = "{when}"', name="crontab-test"))

    def schedule(act: str) -> dict[str, Any]:
        with being(user):
            code = command_line(["schedule", act, *words], open_screen=lambda *_, **__: 0)
        said = capsys.readouterr()
        assert code == 0, said.err
        document: dict[str, Any] = json.loads(said.out)
        return document

    def installed() -> str | None:
        with being(user):
            return crontab("-l")

    write("yearly")
    with being(user):
        assert crontab("-", input=OTHERS) is not None
    (entry,) = schedule("install")["entries"]
    first = installed()
    assert first is not None and first.startswith(OTHERS)
    assert f"\n0 0 1 1 * {entry['command']} >/dev/null\n" in first
    schedule("install")
    assert installed() == first
    write("30 2 * * *")
    schedule("install")
    assert installed() == first.replace("0 0 1 1 *", "30 2 * * *")
    (shown,) = schedule("show")["entries"]
    assert any("no cron is seen" in each for each in schedule("show")["findings"]) is not cron_runs()
    assert (shown["what"], shown["when"], shown["command"]) == ("base", "30 2 * * *", entry["command"])
    schedule("remove")
    assert installed() == OTHERS

    with being(user):
        crontab("-r")  # as on a new machine: none at all
    schedule("install")
    assert "backup base" in (installed() or "")
    schedule("remove")
    assert not installed()


def test_a_cron_that_runs_is_seen_and_its_absence_too(tmp_path: Path) -> None:
    if cron_runs():
        pytest.skip("a cron runs on this machine")
    program = shutil.copy(shutil.which("sleep") or "", tmp_path / "cron")
    with subprocess.Popen([program, "60"]) as process:
        wait_until(cron_runs, "it is not seen")
        process.kill()
    assert not cron_runs()
