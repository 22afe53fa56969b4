"""The environment packed and unpacked by the real tar."""

import os
import signal
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import pytest
from msgspec.structs import replace

from engine.environment import images
from engine.environment.images import pack, unpack
from engine.postgres.processes import is_alive
from engine.records.copies import ImageCopy
from engine.records.errors import DamagedCopy, RunFailed
from tests.clusters import wait_until

NOW = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.fixture
def impatient() -> Iterator[None]:
    def fail(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def silent(done: int) -> None:
    pass


def packed(folder: Path, content: bytes, name: str = "1") -> ImageCopy:
    origin = folder / f"origin-{name}"
    origin.mkdir()
    (origin / "file").write_bytes(content)
    archive = folder / f"{name}.tar.zst"
    sha256, size, _ = pack(origin, archive, [], silent)
    return ImageCopy(name, "packed", archive, str(origin), NOW, NOW, size, sha256, True, None)


def test_a_packed_copy_comes_back_and_is_closed_to_others(tmp_path: Path) -> None:
    image = packed(tmp_path, b"content")
    assert image.path.stat().st_mode & 0o777 == 0o600
    unpack(image, tmp_path / "into", silent)
    assert (tmp_path / "into" / "file").read_bytes() == b"content"


@pytest.mark.usefixtures("impatient")
def test_a_folder_of_which_tar_has_more_to_say_than_a_pipe_takes_is_packed(tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    for number in range(600):
        os.mknod(origin / f"{number:0200d}", stat.S_IFSOCK | 0o600)  # "socket ignored", for each
    pack(origin, tmp_path / "1.tar.zst", [], silent)


def test_what_is_unpacked_is_what_is_held_against_the_checksum(tmp_path: Path) -> None:
    image, other = packed(tmp_path, b"right"), packed(tmp_path, b"wrong", "other")
    right = image.path.rename(tmp_path / "right")
    other.path.rename(image.path)

    def change(done: int) -> None:
        if right.exists():
            right.rename(image.path)

    with pytest.raises(DamagedCopy, match="is damaged"):
        unpack(image, tmp_path / "into", change)
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize("form", ["packed", "registered"])
def test_what_an_attempt_that_was_killed_left_is_in_nobodys_way(tmp_path: Path, form: str) -> None:
    image = packed(tmp_path, b"content")
    if form == "registered":
        image = replace(image, form="registered")
    (tmp_path / ".into.unpacking" / "deep").mkdir(parents=True)
    (tmp_path / ".into.unpacking" / "deep" / "half").touch()
    unpack(image, tmp_path / "into", silent)
    if form == "packed":
        assert [path.name for path in (tmp_path / "into").iterdir()] == ["file"]
    else:
        assert (tmp_path / "into").read_bytes() == image.path.read_bytes()
    assert not (tmp_path / ".into.unpacking").exists()


def test_what_came_out_of_a_damaged_copy_is_kept_whatever_is_tried_next(tmp_path: Path) -> None:
    image, other = packed(tmp_path, b"the only one"), packed(tmp_path, b"another", "other")
    for _ in range(2):
        with pytest.raises(DamagedCopy, match="is damaged") as damaged:
            unpack(replace(image, sha256="0" * 64), tmp_path / "into", silent)
        kept = tmp_path / f"into.damaged-{image.id}"
        assert str(kept) in (damaged.value.remedy or "")
        assert (kept / "file").read_bytes() == b"the only one"
    unpack(other, tmp_path / "into", silent)
    assert (kept / "file").read_bytes() == b"the only one" and (tmp_path / "into" / "file").read_bytes() == b"another"


@pytest.mark.usefixtures("impatient")
def test_what_is_no_archive_is_said_so_by_tar(tmp_path: Path) -> None:
    image = packed(tmp_path, b"x")
    image.path.write_bytes(os.urandom(8 << 20))
    with pytest.raises(RunFailed, match="could not be unpacked"):
        unpack(image, tmp_path / "into", silent)


@pytest.mark.parametrize("work", ["pack", "unpack"])
def test_tar_ends_with_the_engine_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: str) -> None:
    image = packed(tmp_path, b"content")
    tar, noted = tmp_path / "bin" / "tar", tmp_path / "pid"
    tar.parent.mkdir()
    tar.write_text(f"#!/bin/sh\necho $$ >{noted}\nexec sleep 60\n")  # one that waits for its disk, not for us
    tar.chmod(0o755)
    monkeypatch.setattr(images, "_environment", lambda: {"PATH": f"{tar.parent}:/usr/bin:/bin"})
    pid = os.fork()
    if pid == 0:
        try:
            if work == "pack":
                pack(tmp_path / "origin-1", tmp_path / "2.tar.zst", [], silent)
            else:
                unpack(image, tmp_path / "into", silent)
        finally:
            os._exit(1)
    wait_until(lambda: noted.exists() and noted.read_text().endswith("\n"), "it did not start")
    program = int(noted.read_text())
    assert is_alive(program)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    try:
        wait_until(lambda: not is_alive(program), "it lives on", timeout=5)
    finally:
        with suppress(ProcessLookupError):
            os.kill(program, signal.SIGKILL)
