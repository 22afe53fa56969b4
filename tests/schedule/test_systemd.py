"""The schedule installed and removed by systemctl itself, on a tree of its own: no systemd need run, and no timer
starts."""

import os
import shutil
from pathlib import Path

import pytest

from engine.acts import scheduling
from engine.acts.desk import Desk, open_desk
from engine.records.errors import RepriseError
from engine.schedule import systemd
from tests.site_files import site_text

SCHEDULE = """[schedule]
base = "*-*-* 02:00"
incremental = "hourly"
"""
# Started is what is enabled here: that alone cannot be had without a systemd that runs.
SYSTEMCTL = """#!/bin/sh
for word; do
    shift
    case $word in
    --user | --now) ;;
    daemon-reload) exit 0 ;;
    is-active) {0} --root={1} is-enabled "$@" | sed s/enabled/active/; exit ;;
    *) set -- "$@" "$word" ;;
    esac
done
exec {0} --root={1} "$@"
"""

pytestmark = pytest.mark.skipif(shutil.which("systemctl") is None, reason="systemctl is not on this machine")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "root" / "etc" / "systemd" / "system"
    folder.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.write_text(SYSTEMCTL.format(shutil.which("systemctl"), tmp_path / "root"))
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(scheduling, "who_keeps_time", lambda: "systemd")
    monkeypatch.setattr(systemd, "_UNIT_FOLDER", folder)
    monkeypatch.setattr(systemd, "unit_folder", lambda: folder)
    return folder


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    site = tmp_path / "site.toml"
    site.write_text(site_text(tmp_path, SCHEDULE, name="архив"))
    return open_desk(site, tmp_path / "state")


def enabled(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("timers.target.wants/*"))


def test_timers_are_enabled_shown_as_installed_only_while_they_are_and_removed(desk: Desk, folder: Path) -> None:
    (folder / "reprise-other-base.timer").write_text("[Timer]\n")
    assert not scheduling.show_schedule(desk).installed
    assert scheduling.install_schedule(desk).installed
    names = [systemd._unit_name("архив", what) + ".timer" for what in ("base", "incremental")]
    assert enabled(folder) == names
    (folder / "timers.target.wants" / names[1]).unlink()  # somebody disables one
    assert not scheduling.show_schedule(desk).installed
    assert scheduling.install_schedule(desk).installed
    scheduling.remove_schedule(desk)
    assert enabled(folder) == []
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["reprise-other-base.timer"]


def test_a_timer_that_cannot_be_enabled_is_an_error_and_is_not_shown_as_installed(desk: Desk, folder: Path) -> None:
    (folder / "timers.target.wants").write_text("in the way")
    with pytest.raises(RepriseError):
        scheduling.install_schedule(desk)
    assert not scheduling.show_schedule(desk).installed


@pytest.mark.parametrize(("version", "wanted"), [("16", ["base"]), ("17", ["base", "incremental"])])
def test_incremental_backups_are_left_out_where_each_would_be_a_full_one(
    desk: Desk, folder: Path, tmp_path: Path, version: str, wanted: list[str]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text(f"{version}\n")
    state = scheduling.install_schedule(desk)
    assert [each.what for each in state.entries] == wanted and state.installed
    assert len(enabled(folder)) == len(wanted)
    told = "; ".join(state.findings)
    assert ("PostgreSQL 16 has no incremental base backups" in told) == (version == "16")
