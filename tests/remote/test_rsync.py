"""rsync and ssh themselves: what they say is understood, and none of them outlives the engine."""

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from engine.postgres.processes import is_alive
from engine.records.errors import RepriseError, Unreachable
from engine.remote.places import RemotePlace, read_place
from engine.remote.pushing import push
from engine.remote.rsync import compare
from tests.clusters import wait_until
from tests.remote.wrapping import silent, wrapped_rsync


def test_a_comparison_of_which_files_went_away_is_no_success(
    vault: tuple[RemotePlace, Path], copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = vault[0].below("vanished")
    push(copy, place, [], None, silent)
    wrapped_rsync(tmp_path, monkeypatch, '$rsync "$@" && exit 24')
    with pytest.raises(RepriseError, match="failed"):
        compare(copy, place.below(copy.name))


def test_a_server_that_is_away_is_said_so_with_what_to_try(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSYNC_RSH", "ssh -F none -o BatchMode=yes -o ConnectTimeout=2")
    with pytest.raises(Unreachable) as caught:
        push(copy, read_place("ssh://nobody@127.0.0.1:1/vault"), [], None, silent)
    assert "try: ssh" in (caught.value.remedy or "")


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not on this machine")
def test_an_ipv6_address_is_the_host_for_rsync_too(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without brackets rsync took what stands before the first colon for the host."""
    shell, noted = tmp_path / "shell", tmp_path / "words"
    shell.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >"{noted}"\nexit 255\n')
    shell.chmod(0o755)
    monkeypatch.setenv("RSYNC_RSH", str(shell))
    place = read_place("ssh://backup@[2001:db8::1]:2222/vault/docs")
    with pytest.raises(Unreachable) as caught:
        compare(copy, place)
    assert noted.read_text().split("\n")[:6] == ["-p", "2222", "-l", "backup", "2001:db8::1", "rsync"]
    assert str(place) == "ssh://backup@[2001:db8::1]:2222/vault/docs" and str(place) in caught.value.message
    with pytest.raises(Unreachable):
        place.run("true")
    assert noted.read_text().split("\n")[:4] == ["-p", "2222", "--", "backup@2001:db8::1"]


def in_the_vault() -> RemotePlace:
    return read_place("ssh://nobody@127.0.0.1/x")


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not on this machine")
@pytest.mark.parametrize("through", ["rsync", "ssh"])
def test_rsync_and_ssh_end_with_the_engine_that_is_killed(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, through: str
) -> None:
    shell, noted = tmp_path / "shell", tmp_path / "pid"
    shell.write_text(f"#!/bin/sh\necho $PPID $$ >{noted}\nexec sleep 60\n")
    shell.chmod(0o755)
    monkeypatch.setenv("RSYNC_RSH", str(shell))
    pid = os.fork()
    if pid == 0:
        try:
            if through == "rsync":
                compare(copy, in_the_vault())
            else:
                in_the_vault().run("true")
        finally:
            os._exit(1)
    wait_until(lambda: noted.exists() and noted.read_text().endswith("\n"), "it did not start")
    rsync, ssh = map(int, noted.read_text().split())
    program = rsync if through == "rsync" else ssh
    assert is_alive(program)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    try:
        wait_until(lambda: not is_alive(program), "it lives on", timeout=5)
    finally:
        with suppress(ProcessLookupError):
            os.kill(ssh, signal.SIGKILL)
