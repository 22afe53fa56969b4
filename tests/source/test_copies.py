"""Mirrors, by the real git."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from engine.postgres.processes import is_alive
from engine.records.errors import DamagedCopy, RepriseError
from engine.source.copies import check_bundle, check_repository, make_bundle, make_mirror, update_mirror
from engine.source.git import git as engine_git
from engine.system.users import current_user
from tests.clusters import wait_until
from tests.end_to_end.mounts import small_disk

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


def test_a_copy_is_not_called_damaged_where_git_is_not_there_or_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin, mirror, bundle, user = tmp_path / "o", tmp_path / "m.git", tmp_path / "b.bundle", current_user()
    origin.mkdir()
    git("init", "-q", "-b", "main", cwd=origin)
    (origin / "file").write_bytes(os.urandom(12 << 20))
    git("add", "file", cwd=origin)
    git("commit", "-q", "-m", "one", cwd=origin)
    make_mirror(str(origin), mirror, user, lambda line: None)
    make_bundle(mirror, bundle, user, lambda line: None)
    with small_disk(tmp_path / "small", tmp_path / "disk.img", 8) as disk:
        with pytest.raises(RepriseError) as full:
            check_bundle(bundle, disk / "scratch", user, lambda line: None)
        assert not isinstance(full.value, DamagedCopy) and "No space left" in (full.value.cause or "")
    check_bundle(bundle, tmp_path / "scratch", user, lambda line: None)
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 1
    bundle.write_bytes(content)
    with pytest.raises(DamagedCopy):
        check_bundle(bundle, tmp_path / "another", user, lambda line: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RepriseError, match="git is not on this machine") as away:
        check_repository(mirror, user, lambda line: None)
    assert not isinstance(away.value, DamagedCopy)


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
