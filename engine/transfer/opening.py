"""Plain, gzip, lz4 and zstd files, told apart by their first bytes and not by their names.

Magic numbers: RFC 1952 (gzip), RFC 8878 (zstd), the lz4 frame format's description. A file that ends before its last
frame does, or whose own checksum does not fit, is a DamagedCopy that names it.
"""

import hashlib
import io
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import lz4.frame

from engine.records.copies import Compression
from engine.records.errors import DamagedCopy
from engine.transfer.naming import shown

if sys.version_info >= (3, 14):
    from compression import zstd as zstd
else:
    from backports import zstd as zstd

BLOCK = 256 << 10  # bytes read, and at most decompressed, in one go

_MAGIC: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
)


class _Decompressor(Protocol):
    """What bz2, lzma, zstd and lz4 have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """zlib's decompressor with the manners of the others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.eof and not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max(max_length, 0))


_MAKERS: dict[Compression, Callable[[], _Decompressor]] = {
    "gzip": _Gzip,
    "zstd": zstd.ZstdDecompressor,
    "lz4": lz4.frame.LZ4FrameDecompressor,
}


def compression_of(start: bytes) -> Compression | None:
    """What a file is compressed with, by its first four bytes; None for a plain one."""
    return next((kind for magic, kind in _MAGIC if start.startswith(magic)), None)


def read_blocks(
    path: Path,
    file: BinaryIO,
    on_read: Callable[[int], None] | None = None,
    block: int = BLOCK,
    digest: "hashlib._Hash | None" = None,
) -> Iterator[bytes]:
    """The unpacked bytes of an open unbuffered file, in blocks of at most ``block`` bytes; ``on_read`` hears how many
    bytes of the file itself were read, and ``digest`` is fed with them. Raises DamagedCopy, and OSError as
    reading does."""

    def read() -> bytes:
        data = file.read(block)
        if on_read is not None and data:
            on_read(len(data))
        if digest is not None:
            digest.update(data)
        return data

    data = read()
    while data and len(data) < 4:  # a pipe may give less than asked for
        more = read()
        if not more:
            break
        data += more
    kind = compression_of(data)
    if kind is None:
        while data:
            yield data
            data = read()
        return
    try:
        yield from _unpack(path, _MAKERS[kind], data, read, block)
    except (zlib.error, zstd.ZstdError, RuntimeError, EOFError) as problem:
        raise DamagedCopy(f"{shown(path)} cannot be unpacked", cause=f"{kind}: {problem}") from None


def _unpack(
    path: Path, make: Callable[[], _Decompressor], data: bytes, read: Callable[[], bytes], block: int
) -> Iterator[bytes]:
    """Frame after frame: pigz, pzstd and cat leave several in one file."""
    while True:
        frame = make()
        while not frame.eof:
            if frame.needs_input and not data and not (data := read()):
                raise DamagedCopy(f"{shown(path)} is cut off", cause="the file ends before its compressed data does")
            unpacked = frame.decompress(data, block)
            data = b""
            if unpacked:
                yield unpacked
        data = (frame.unused_data or b"") or read()
        if not data.strip(b"\0"):
            # zeros behind the last frame are padding, as gzip(1) has it
            while data := read():
                if data.strip(b"\0"):
                    raise DamagedCopy(f"{shown(path)} has foreign bytes behind its compressed data")
            return


class _BlockReader(io.RawIOBase):
    """A read-only file over blocks of bytes."""

    def __init__(self, file: BinaryIO, blocks: Iterator[bytes]) -> None:
        self._file = file
        self._blocks = blocks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def open_compressed(path: Path, digest: "hashlib._Hash | None" = None) -> io.BufferedReader:
    """A file's unpacked bytes, to be read as from a file; ``digest`` is fed with its own, all of them at its end.
    Raises OSError; DamagedCopy where it is no regular file, and when read."""
    file = open(path, "rb", buffering=0, opener=_no_surprises)  # noqa: SIM115
    return io.BufferedReader(_BlockReader(file, read_blocks(path, file, digest=digest)), BLOCK)


def _no_surprises(path: str, flags: int) -> int:
    """Opens no device, and does not wait for the other end of a pipe."""
    handle = os.open(path, flags | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise DamagedCopy(f"{shown(path)} is not a regular file")
    return handle
