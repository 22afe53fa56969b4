"""Timers and crontab lines as they are written; other people's lines stay."""

import shutil
import subprocess
from pathlib import Path

import pytest

from engine.records.errors import RepriseError, UsageError
from engine.schedule.cron import crontab_block, our_block, with_block
from engine.schedule.systemd import units

WANTED = [("base", "*-*-* 02:00"), ("files", "hourly")]
PROGRAM, OPTIONS = ["/opt/re prise/reprise"], ["--site", "/etc/reprise/100%.toml"]
OTHERS = "MAILTO=root\n# mine\n5 4 * * * /usr/local/bin/other\n"


def test_only_our_own_lines_of_a_crontab_change() -> None:
    block = crontab_block("archive", WANTED, PROGRAM, OPTIONS)
    installed = with_block(OTHERS, "archive", block)
    assert installed.startswith(OTHERS)
    assert our_block(installed, "archive") == block
    assert with_block(installed, "archive", block) == installed
    assert with_block(installed, "archive", "") == OTHERS
    assert with_block(installed, "another", "") == installed
    assert "0 2 * * * '/opt/re prise/reprise' --site /etc/reprise/100\\%.toml backup base >/dev/null" in block


def test_a_crontab_whose_mark_has_no_end_is_left_alone() -> None:
    block = crontab_block("archive", WANTED, PROGRAM, OPTIONS)
    with pytest.raises(RepriseError, match="no end"):
        with_block(OTHERS + block.rsplit("\n", 2)[0] + "\n", "archive", "")


def test_a_time_that_only_systemd_understands_cannot_be_said_to_cron() -> None:
    wanted = [("base", "Mon *-05~03 02:00")]
    with pytest.raises(UsageError, match=r"schedule\.base"):
        crontab_block("archive", wanted, PROGRAM, OPTIONS)
    assert "OnCalendar=Mon *-05~03 02:00" in units("archive", wanted, PROGRAM, OPTIONS)["reprise-archive-base.timer"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
def test_a_time_that_systemd_would_not_take_is_refused_before_anything_is_installed() -> None:
    with pytest.raises(UsageError, match=r"schedule\.base: '25:00' is no calendar time"):
        units("archive", [("base", "25:00")], PROGRAM, OPTIONS)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
@pytest.mark.parametrize("site", ["archive", "архив"])
def test_systemd_accepts_the_units_and_reads_the_command_as_it_was_meant(tmp_path: Path, site: str) -> None:
    program = tmp_path / "re prise"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    files = units(site, WANTED, [str(program)], OPTIONS)
    name = "archive" if site == "archive" else r"\xd0\xb0\xd1\x80\xd1\x85\xd0\xb8\xd0\xb2"
    assert sorted(files) == [
        f"reprise-{name}-{each}" for each in ("base.service", "base.timer", "files.service", "files.timer")
    ]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    words = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in files)]
    told = subprocess.run(words, capture_output=True, text=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})
    about_ours = [line for line in (told.stdout + told.stderr).splitlines() if "reprise-" in line]
    assert about_ours == []
