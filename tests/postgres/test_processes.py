"""Strays of an engine that died: ended, or said to be there."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.postgres.processes import end_strays, end_strays_saying, is_alive
from engine.records.errors import RepriseError
from engine.records.survey import OsUser
from engine.system.users import is_root

PROGRAM = Path(sys.executable).name


@pytest.fixture
def stray(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    words = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", str(tmp_path / "draft")]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_a_stray_that_writes_into_the_folder_is_ended(stray: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    end_strays(PROGRAM, tmp_path / "another")
    assert stray.poll() is None
    end_strays(PROGRAM, tmp_path / "draft")
    assert not is_alive(stray.pid)


def test_a_stray_is_known_by_all_its_words(stray: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    end_strays_saying(PROGRAM, ["-c", "of another server"])
    end_strays_saying("psql", ["-c", str(tmp_path / "draft")])
    assert stray.poll() is None
    end_strays_saying(PROGRAM, ["-c", str(tmp_path / "draft")])
    assert not is_alive(stray.pid)


@pytest.mark.skipif(not is_root(), reason="only root can become somebody else")
def test_a_stray_that_may_not_be_ended_is_an_error(
    stray: "subprocess.Popen[bytes]", tmp_path: Path, os_user: OsUser
) -> None:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(os_user.gid)
            os.setuid(os_user.uid)
            end_strays(PROGRAM, tmp_path / "draft")
        except RepriseError as error:
            code = 7 if str(stray.pid) in (error.cause or "") else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert stray.poll() is None
