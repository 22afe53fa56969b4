"""Mirrors, by the real git."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from engine.postgres.processes import is_alive
from engine.source.copies import make_mirror, update_mirror
from engine.source.git import git as engine_git
from engine.system.users import current_user
from tests.clusters import wait_until

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not on this machine")
WHO = ["-c", "user.name=t", "-c", "user.email=t@example.org"]


def git(*words: str, cwd: Path) -> str:
    done = subprocess.run(["git", *WHO, *words], cwd=cwd, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.parametrize("setting", ["fetch.prune", "fetch.pruneTags"])
def test_what_is_gone_in_the_original_stays_in_the_mirror_whatever_git_is_configured_to(
    tmp_path: Path, setting: str
) -> None:
    origin, mirror, user = tmp_path / "origin", tmp_path / "mirror.git", current_user()
    origin.mkdir()
    git("init", "-q", "-b", "main", cwd=origin)
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=origin)
    git("tag", "v1", cwd=origin)
    git("branch", "work", cwd=origin)
    make_mirror(str(origin), mirror, user, lambda line: None)
    git("config", "fetch.prune", "true", cwd=mirror)
    git("config", setting, "true", cwd=mirror)
    git("tag", "-d", "v1", cwd=origin)
    git("branch", "-D", "work", cwd=origin)
    update_mirror(str(origin), mirror, user, lambda line: None)
    refs = git("for-each-ref", "--format=%(refname)", cwd=mirror).splitlines()
    assert refs == ["refs/heads/main", "refs/heads/work", "refs/tags/v1"]


def test_git_ends_with_the_engine_that_is_killed(tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    alias = f"alias.wait=!echo $PPID $$ >{noted}; exec sleep 60"
    pid = os.fork()
    if pid == 0:
        try:
            engine_git("-c", alias, "wait", user=current_user())
        finally:
            os._exit(1)
    wait_until(lambda: noted.exists() and noted.read_text().endswith("\n"), "it did not start")
    program, its_child = map(int, noted.read_text().split())
    assert is_alive(program)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    try:
        wait_until(lambda: not is_alive(program), "it lives on", timeout=5)
    finally:
        os.kill(its_child, signal.SIGKILL)
