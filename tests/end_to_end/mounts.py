"""File systems of a test's own: a small one, one that is unmounted in mid-run, one that hangs. For root only."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clusters import wait_until

MB = 1 << 20


def require_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("a file system can be mounted by root only")


@contextmanager
def small_disk(place: Path, image: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own in ``place``: an ext4 image, else a tmpfs."""
    require_root()
    place.mkdir(exist_ok=True)
    with image.open("wb") as file:
        file.truncate(megabytes * MB)
    ways = [["-o", "loop", str(image)], ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs"]]
    if shutil.which("mkfs.ext4") is None or subprocess.run(["mkfs.ext4", "-q", image], check=False).returncode != 0:
        del ways[0]
    told = (subprocess.run(["mount", *way, str(place)], capture_output=True, check=False) for way in ways)
    if all(each.returncode != 0 for each in told):
        pytest.skip("neither a loop device nor a tmpfs can be mounted here")
    place.chmod(0o755)
    try:
        yield place
    finally:
        unmount(place)


def fill_disk(disk: Path, *, leave: int = 0) -> Path:
    """No byte is left there but so many. The file that takes all the room; without it there is room again."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for block in (MB, 4096):
            try:
                while file.write(bytes(block)) == block:
                    pass
            except OSError:
                continue
        file.truncate(file.tell() - leave)
    return ballast


def unmount(place: Path) -> None:
    """Away from the tree of files at once, whoever still has files of it open (umount2(2), MNT_DETACH)."""
    subprocess.run(["umount", "-l", place], check=True)


@contextmanager
def mounted(source: Path, place: Path) -> Iterator[None]:
    """``source`` is mounted in ``place``, which is empty without it."""
    require_root()
    place.mkdir(exist_ok=True)
    mount_again(source, place)
    try:
        yield
    finally:
        while subprocess.run(["umount", "-l", place], capture_output=True, check=False).returncode == 0:
            continue  # until none is left; os.path.ismount does not see a bind mount


def mount_again(source: Path, place: Path) -> None:
    told = subprocess.run(["mount", "--bind", source, place], capture_output=True, text=True, check=False)
    if told.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {told.stderr.strip()}")


class Hanging:
    """A folder behind a file system that hangs when it is told to, as a hard NFS mount does whose server is away: each
    call on it blocks in the kernel, and its process cannot even be killed.

    Two layers of bindfs: the inner one's daemon is stopped. What the outer one's has taken from the kernel by then, it
    can neither answer nor withdraw (request_wait_answer in the kernel's fs/fuse/dev.c)."""

    def __init__(self, source: Path, place: Path) -> None:
        require_root()
        program = shutil.which("bindfs")
        if program is None:
            pytest.skip("bindfs is not installed")
        if not Path("/dev/fuse").exists():
            pytest.skip("/dev/fuse is not here")
        self.place, self._inner = place, place.with_name(f"{place.name}-inner")
        self._daemons: list[subprocess.Popen[bytes]] = []
        for folder, behind in ((self._inner, source), (place, self._inner)):
            folder.mkdir()
            options = ["-f", "-o", "direct_io,attr_timeout=0,entry_timeout=0,negative_timeout=0"]
            self._daemons.append(subprocess.Popen([program, *options, behind, folder]))
            wait_until(folder.is_mount, f"{folder} was not mounted")

    def hang(self) -> None:
        os.kill(self._daemons[0].pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._daemons[0].pid, signal.SIGCONT)

    def close(self) -> None:
        self.go_on()
        for daemon, folder in zip(reversed(self._daemons), (self.place, self._inner), strict=True):
            unmount(folder)
            deadline = time.monotonic() + 10
            while daemon.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            daemon.kill()
            daemon.wait(10)
