"""Reading archived WAL files whole: plain, gzip, lz4 or zstd, told by their first bytes and not by their names."""

import gzip
import io
import sys
from collections.abc import Callable
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


def read_wal_file(path: Path, room: bytearray | None = None) -> memoryview:
    """The unpacked contents of a segment file, never more than a byte above the largest segment.

    ``room`` is memory to read a plain file into; it grows as needed, and the answer is only good until its next use.
    Raises OSError, and DamagedFile where the packing is broken.
    """
    with path.open("rb", buffering=0) as raw:
        opener = _opener(raw.read(4))
        raw.seek(0)
        if opener is None:
            return _read_plain(raw, bytearray() if room is None else room)
        return _unpack(cast(IO[bytes], io.BufferedReader(raw, 1 << 20)), opener)


def _read_plain(raw: io.FileIO, room: bytearray) -> memoryview:
    size = min(raw.seek(0, io.SEEK_END), LARGEST_SEGMENT + 1)
    raw.seek(0)
    if len(room) < size:
        room.extend(bytes(size - len(room)))
    view = memoryview(room)[:size]
    done = 0
    while done < size:
        count = raw.readinto(view[done:])
        if not count:
            break
        done += count
    return view[:done]


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
