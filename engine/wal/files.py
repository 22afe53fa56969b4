"""Reading archived WAL files whole: plain, gzip, lz4 or zstd, told by their first bytes and not by their names."""

import contextlib
import gzip
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from engine.wal.pages import LARGEST_SEGMENT

_CHUNK = 4 << 20


class DamagedFile(Exception):
    """A file cannot be unpacked; the message says why."""


def _opener(magic: bytes) -> Callable[[IO[bytes]], IO[bytes]] | None:
    """What unpacks a file that begins like this; None for a plain one."""
    if magic[:2] == b"\x1f\x8b":
        return lambda raw: cast(IO[bytes], gzip.GzipFile(fileobj=raw))
    if magic == b"\x04\x22\x4d\x18":
        import lz4.frame

        return lambda raw: cast(IO[bytes], lz4.frame.LZ4FrameFile(raw))
    if magic == b"\x28\xb5\x2f\xfd":
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        return lambda raw: cast(IO[bytes], zstd.ZstdFile(raw))
    return None


class SegmentFile:
    """A segment file's unpacked contents: read from the file itself where it is plain, else from memory."""

    def __init__(self, size: int, raw: io.FileIO | None, unpacked: memoryview | None = None) -> None:
        self.size = size
        self._raw = raw
        self._unpacked = unpacked

    def beginning(self, size: int) -> bytes:
        if self._unpacked is not None:
            return bytes(self._unpacked[:size])
        assert self._raw is not None
        return os.pread(self._raw.fileno(), size, 0)

    def read_into(self, pieces: list[memoryview], offset: int) -> int:
        """Fill these pieces from ``offset`` on; how many bytes there were. Raises OSError."""
        if self._unpacked is None:
            assert self._raw is not None
            return os.preadv(self._raw.fileno(), pieces, offset)
        done = 0
        for piece in pieces:
            part = self._unpacked[offset + done : offset + done + len(piece)]
            piece[: len(part)] = part
            done += len(part)
        return done


@contextlib.contextmanager
def open_segment(path: Path) -> Iterator[SegmentFile]:
    """Open a segment file. What is unpacked is never more than a byte above the largest segment. Raises OSError, and
    DamagedFile where the packing is broken."""
    with path.open("rb", buffering=0) as raw:
        opener = _opener(raw.read(4))
        raw.seek(0)
        if opener is None:
            yield SegmentFile(os.fstat(raw.fileno()).st_size, raw)
            return
        unpacked = _unpack(cast(IO[bytes], io.BufferedReader(raw, 1 << 20)), opener)
        yield SegmentFile(len(unpacked), None, unpacked)


def _unpack(raw: IO[bytes], opener: Callable[[IO[bytes]], IO[bytes]]) -> memoryview:
    out = io.BytesIO()
    try:
        with opener(raw) as stream:
            while out.tell() <= LARGEST_SEGMENT and (chunk := stream.read(_CHUNK)):
                out.write(chunk)
    except Exception as error:  # each of the libraries has its own class for damage
        raise DamagedFile(f"cannot be unpacked after {out.tell()} bytes: {_told(error)}") from error
    return out.getbuffer()


def _told(error: Any) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def read_beginning(path: Path, size: int = 64) -> bytes:
    """The first bytes of a segment file, unpacked. Raises OSError, DamagedFile."""
    with path.open("rb", buffering=0) as raw:
        opener = _opener(raw.read(4))
        raw.seek(0)
        if opener is None:
            return raw.read(size)
        try:
            with opener(raw) as stream:
                return stream.read(size)
        except Exception as error:
            raise DamagedFile(f"cannot be unpacked: {_told(error)}") from error
