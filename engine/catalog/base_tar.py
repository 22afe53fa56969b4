"""The small files within a backup's ``base.tar``: backup_label comes first, global/pg_control last (basebackup.c)."""

import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.catalog.facts import CONTROL, SMALL_FILES, Facts
from engine.catalog.files import SMALL
from engine.records.errors import DamagedCopy
from engine.transfer.opening import compression_of, read_blocks
from engine.transfer.tar import TarReader

PIECE = 1 << 20  # bytes


class _Enough(Exception):
    """As much was read as may be read in passing."""


def scan_base_tar(path: Path, facts: Facts, limit: int | None, alive: Callable[[], None]) -> None:
    """Read the small files of base.tar into ``facts``. A plain tar is skipped through; of a compressed one at most
    ``limit`` bytes are read (None: all), and ``facts.complete`` says whether that was the whole. Raises OSError;
    DamagedCopy where the tar is damaged or cut off."""
    with open(path, "rb", buffering=0, opener=_open_ordinary) as file:
        compression = compression_of(file.read(4))
    facts.compression = compression
    if compression is None:
        _skip_through(path, facts, alive)
        facts.complete = True
    else:
        try:
            _read_through(path, facts, limit, alive)
            facts.complete = True
        except _Enough:
            facts.complete = False
            return
    if CONTROL not in facts.files:
        raise DamagedCopy(f"{path.name} ends without global/pg_control", cause="the backup never finished")


def _skip_through(path: Path, facts: Facts, alive: Callable[[], None]) -> None:
    total = 0
    try:
        with tarfile.open(path, "r:", errorlevel=0) as tar:
            count = 0
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # one object for each file of the backup would stay in memory
                count += 1
                if count % 256 == 0:
                    alive()
                if member.isreg():
                    total += member.size
                    name = member.name.removeprefix("./")
                    if name in SMALL_FILES and member.size <= SMALL and (content := tar.extractfile(member)):
                        data = content.read()
                        if len(data) != member.size:
                            raise DamagedCopy(f"{path.name} is cut off")
                        _keep(facts, name, data, member.mtime)
            expect_end(path, tar.offset)
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:
        raise DamagedCopy(f"{path.name} is damaged or cut off", cause=str(error)) from error
    facts.files_size_bytes = total


def expect_end(path: Path, offset: int | None = None) -> None:
    """A whole tar ends with blocks of zeros, at ``offset`` where it is known. Raises DamagedCopy where it was cut
    off, OSError."""
    with open(path, "rb", opener=_open_ordinary) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 512 if offset is None else offset))
        block = file.read(512)
    if len(block) < 512 or block.strip(b"\0") or (offset is None and size % 512):
        raise DamagedCopy(f"{path.name} is cut off", cause="the block of zeros that ends a tar file is missing")


def _read_through(path: Path, facts: Facts, limit: int | None, alive: Callable[[], None]) -> None:
    total = 0
    read = 0

    def count(done: int) -> None:
        nonlocal read
        read += done
        alive()
        if limit is not None and read > limit:
            raise _Enough

    with open(path, "rb", buffering=0, opener=_open_ordinary) as file:
        blocks: Iterator[bytes] = read_blocks(path, file, count, PIECE)
        reader = TarReader(path, blocks)
        for entry in reader:
            if entry.kind != "file":
                continue
            total += entry.size
            if entry.name in SMALL_FILES and entry.size <= SMALL:
                _keep(facts, entry.name, b"".join(reader.content()), None)
    facts.files_size_bytes = total


def _keep(facts: Facts, name: str, data: bytes, mtime: float | None) -> None:
    facts.files[name] = data
    if mtime is not None:
        facts.mtimes[name] = int(mtime)


def _open_ordinary(path: str, flags: int) -> int:
    """A pipe in a tar's place would never come to its end, nor would some devices. Raises DamagedCopy, OSError."""
    handle = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise DamagedCopy(f"{os.path.basename(path)} is not an ordinary file")  # noqa: PTH119
    return handle
