"""Locks die with their holder, and name him while he lives."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

from engine.records.errors import RepriseError
from engine.run.locks import folder_lock, hold_folder, lock_holder, site_lock, take_lock
from tests.run.toys import wait_until

_HOLDER = """
import os, sys, time
from pathlib import Path
from engine.run.locks import take_lock
lock = take_lock(Path(sys.argv[1]), "run-1", "busy")
if os.fork() == 0:
    Path(sys.argv[1] + ".child").write_text(str(os.getpid()))
time.sleep(600)
"""


def test_a_free_lock_has_no_holder(tmp_path: Path) -> None:
    assert lock_holder(tmp_path / "none") is None
    lock = take_lock(tmp_path / "lock", "run-1", "busy")
    holder = lock_holder(tmp_path / "lock")
    assert holder is not None and (holder.run, holder.pid) == ("run-1", os.getpid())
    lock.release()
    assert lock_holder(tmp_path / "lock") is None


def test_a_killed_holders_lock_is_free_though_its_child_lives(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    process = subprocess.Popen([sys.executable, "-c", _HOLDER, str(path)], cwd=Path(__file__).parents[2])
    child = tmp_path / "lock.child"
    try:
        wait_until(lambda: child.exists() and child.read_text())
        with pytest.raises(RepriseError, match="busy") as refused:
            take_lock(path, "run-2", "busy")
        assert refused.value.cause is not None and "run-1" in refused.value.cause
        assert str(process.pid) in refused.value.cause
    finally:
        process.kill()
        process.wait()
    assert Path(f"/proc/{child.read_text()}").exists()
    try:
        assert lock_holder(path) is None
        take_lock(path, "run-2", "busy").release()
    finally:
        os.kill(int(child.read_text()), signal.SIGKILL)


def test_a_folder_that_a_dead_engines_child_still_holds_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    first = hold_folder(tmp_path, "busy")
    assert first is not None
    with pytest.raises(RepriseError, match="busy"):
        hold_folder(tmp_path, "busy")
    Timer(0.3, first.release).start()
    then = hold_folder(tmp_path, "busy")
    assert then is not None
    then.release()


def test_sites_and_folders_have_locks_of_their_own_whatever_their_names(tmp_path: Path) -> None:
    names = ["a/b", "a-b", "../../x", "ü", "n" * 300, ""]
    locks = [site_lock(tmp_path, name) for name in names]
    assert len(set(locks)) == len(names)
    assert {lock.parent for lock in locks} == {tmp_path / "locks"}
    for lock in locks:
        take_lock(lock, "run", "busy").release()


def test_a_folder_is_locked_by_what_it_is_and_not_by_its_spelling(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert folder_lock(tmp_path, tmp_path / "link" / "copy") == folder_lock(tmp_path, tmp_path / "real" / "copy")
