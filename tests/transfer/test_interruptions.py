"""Copies that are disturbed: killed, held, cancelled, cut off from their source, out of room. And then resumed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from engine.records.errors import RunFailed, Unreachable
from engine.steps.protocol import Stopped
from engine.system.users import is_root
from engine.transfer import copying
from tests.clusters import wait_until
from tests.transfer.backups import SLOWLY, Backups, contents, make_copy

# An engine: makes a copy, slowly, and tells when it is in the middle of it.
_ENGINE = """
import json, sys
from pathlib import Path
from engine.records.copies import BaseBackup
from engine.transfer import copying
path, format, destination, oid = json.loads(sys.argv[1])
copying.PATIENCE = 0.005
def progress(done, total):
    if total and 0.2 * total < done < 0.9 * total:
        print(done, flush=True)
copying.copy_backup(
    BaseBackup(id="b", repository="r", path=Path(path), format=format), Path(destination),
    tablespaces={oid: Path(f"{destination}-{oid}")}, owner=None, progress=progress, safe_point=lambda: None)
"""


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "PATIENCE", SLOWLY)


def workers() -> list[psutil.Process]:
    """The processes that copy for this one."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # one that has ended, and waits to be collected
            if "engine.transfer.worker" in child.cmdline():
                found.append(child)
    return found


def midway(act: Callable[[], object]) -> Callable[[int, int | None], None]:
    """A progress callback that acts once, in the middle of the copy."""
    acted: list[bool] = []

    def progress(done: int, total: int | None) -> None:
        if total and 0.2 * total < done < 0.9 * total and not acted:
            acted.append(True)
            act()

    return progress


@pytest.mark.parametrize("kind", ["plain", "tar"])
def test_a_killed_engine_leaves_no_writer_and_the_resumed_copy_is_the_same(
    backups: Backups, open_dir: Path, kind: str
) -> None:
    source = backups.backup(kind)
    into = open_dir / "copy"
    words = json.dumps([str(source.path), source.format, str(into), backups.oid])
    engine = subprocess.Popen([sys.executable, "-c", _ENGINE, words], stdout=subprocess.PIPE)
    assert engine.stdout is not None
    assert int(engine.stdout.readline()) > 0
    workers = psutil.Process(engine.pid).children()
    engine.kill()
    engine.wait()
    assert len(workers) == 1
    psutil.wait_procs(workers, timeout=10)
    assert not workers[0].is_running()
    assert not (into / "global/pg_control").exists()
    assert not (into / "global/pg_control.reprise").exists()

    result = make_copy(source, into, backups.oid)
    assert result.kept > 0
    undisturbed = open_dir / "undisturbed"
    make_copy(source, undisturbed, backups.oid)
    for folder in (into, undisturbed):
        (folder / ".reprise-copy").unlink()
        (folder / "pg_tblspc" / str(backups.oid)).unlink()
    assert contents(into) == contents(undisturbed)
    assert contents(Path(f"{into}-{backups.oid}")) == contents(Path(f"{undisturbed}-{backups.oid}"))


@pytest.mark.usefixtures("slow")
def test_a_killed_worker_ends_the_copy_and_it_can_be_resumed(backups: Backups, open_dir: Path) -> None:
    def kill() -> None:
        for worker in workers():
            worker.kill()

    with pytest.raises(RunFailed, match="ended before"):
        make_copy(backups.backup("plain"), open_dir / "copy", backups.oid, progress=midway(kill))
    assert make_copy(backups.backup("plain"), open_dir / "copy", backups.oid).kept > 0


def copy_half(backups: Backups, kind: str, into: Path) -> None:
    """A copy that was stopped in its middle."""
    with pytest.MonkeyPatch.context() as slowly, pytest.raises(Stopped):
        slowly.setattr(copying, "PATIENCE", SLOWLY)
        make_copy(backups.backup(kind), into, backups.oid, progress=midway(stop))


def test_after_a_loss_of_power_only_what_was_synced_is_kept(backups: Backups, open_dir: Path) -> None:
    into = open_dir / "copy"
    copy_half(backups, "plain", into)
    ledger = into / ".reprise-copy"
    lines = ledger.read_bytes().splitlines()
    first = json.loads(lines[0])
    assert len(lines) > 3
    lines[0] = json.dumps(first | {"boot": "another one"}).encode()
    ledger.write_bytes(b"\n".join(lines) + b"\n")
    assert make_copy(backups.backup("plain"), into, backups.oid).kept == 0


def test_another_backups_leftovers_are_not_taken_over(backups: Backups, open_dir: Path) -> None:
    into = open_dir / "copy"
    copy_half(backups, "sha256", into)
    assert make_copy(backups.backup("plain"), into, backups.oid).kept == 0


def stop() -> None:
    raise Stopped


@pytest.mark.usefixtures("slow")
def test_a_held_run_copies_nothing(backups: Backups, open_dir: Path) -> None:
    into = open_dir / "copy"
    middle: list[bool] = []
    sizes: list[int] = []

    def hold() -> None:
        if middle and not sizes:
            wait_until(lambda: written(into) == written(into, 0.3), "the copy goes on although the run is held")
            sizes.append(written(into))
            sizes.append(written(into, 0.5))

    make_copy(backups.backup("plain"), into, backups.oid, safe_point=hold, progress=midway(lambda: middle.append(True)))
    assert sizes[0] == sizes[1] > 0


def written(folder: Path, after: float = 0.0) -> int:
    time.sleep(after)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.usefixtures("slow")
def test_a_cancelled_copy_ends_its_worker(backups: Backups, open_dir: Path) -> None:
    with pytest.raises(Stopped):
        make_copy(backups.backup("tar"), open_dir / "copy", backups.oid, progress=midway(stop))
    assert workers() == []


@pytest.mark.usefixtures("slow")
def test_a_source_that_goes_away_is_unreachable_and_not_damaged(backups: Backups, open_dir: Path) -> None:
    source = backups.own("plain", open_dir)
    away = open_dir / "away"
    with pytest.raises(Unreachable) as raised:
        make_copy(source, open_dir / "copy", backups.oid, progress=midway(lambda: source.path.rename(away)))
    assert raised.value.remedy
    away.rename(source.path)
    assert make_copy(source, open_dir / "copy", backups.oid).kept > 0


def test_a_backup_that_is_not_there_is_unreachable(backups: Backups, open_dir: Path) -> None:
    for kind in ("plain", "tar"):
        with pytest.raises(Unreachable):
            make_copy(backups.backup(kind, open_dir / "nowhere"), open_dir / kind, backups.oid)


def test_a_repository_that_hangs_is_unreachable(
    backups: Backups, open_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "STALLED_SECONDS", 0.5)

    def freeze() -> None:
        for worker in workers():
            os.kill(worker.pid, signal.SIGSTOP)

    with pytest.raises(Unreachable, match="does not answer"):
        make_copy(backups.backup("plain"), open_dir / "copy", backups.oid, safe_point=freeze)


@pytest.fixture
def small_disk(open_dir: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    if not is_root():
        pytest.skip("only root can mount a small file system")
    mount = open_dir / "small"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(mount)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"cannot mount a small file system here: {done.stderr.strip()}")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


@pytest.mark.parametrize("kind", ["plain", "tar"])
def test_a_full_disk_ends_the_copy_with_a_remedy_and_more_room_mends_it(
    backups: Backups, small_disk: Path, kind: str
) -> None:
    into = small_disk / "copy"
    with pytest.raises(RunFailed) as raised:
        make_copy(backups.backup(kind), into, backups.oid)
    assert "no room" in raised.value.message
    assert raised.value.cause is not None and str(small_disk) in raised.value.cause
    assert raised.value.remedy is not None and "resume" in raised.value.remedy
    assert not (into / "global/pg_control.reprise").exists()
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    assert make_copy(backups.backup(kind), into, backups.oid).verified
