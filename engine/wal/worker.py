"""Reading one segment file; as a program (``python -m engine.wal.worker``), many for another process (`children`)."""

import os
import pickle
import struct
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from engine.wal.reading import SegmentReading, damaged

if TYPE_CHECKING:
    from engine.wal.stripped import Room

_LENGTH = struct.Struct("<Q")


class Wanted(NamedTuple):
    """A file to be read, and what its name says it is."""

    path: str
    timeline: int
    number: int


def read_file(wanted: Wanted, room: "Room | None" = None) -> SegmentReading | None:
    """Read one file, with ``room`` as memory to work in. None where it has vanished; what cannot be read is damage."""
    from engine.wal.files import DamagedFile, open_segment
    from engine.wal.segment import read_segment

    try:
        with open_segment(Path(wanted.path)) as file:
            return read_segment(file, wanted.timeline, wanted.number, room)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except DamagedFile as error:
        return damaged(wanted.timeline, wanted.number, str(error))
    except OSError as error:
        return damaged(wanted.timeline, wanted.number, f"cannot be read: {error.strerror}")
    except Exception as error:  # a reader's own fault must not pass for sound WAL, nor end the program
        return damaged(wanted.timeline, wanted.number, f"cannot be read: {type(error).__name__}: {error}")


def send(stream: IO[bytes], value: object) -> None:
    """``stream`` may be unbuffered."""
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    left = memoryview(_LENGTH.pack(len(data)) + data)
    while left:
        left = left[stream.write(left) :]
    stream.flush()


def receive(stream: IO[bytes]) -> object:
    """What the other side sent next. Raises EOFError where it has ended."""
    (length,) = _LENGTH.unpack(_read(stream, _LENGTH.size))
    return pickle.loads(_read(stream, length))


def _read(stream: IO[bytes], size: int) -> bytearray:
    data = bytearray()
    while len(data) < size:
        part = stream.read(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def main() -> None:
    from engine.wal.stripped import Room

    asked: SimpleQueue[list[tuple[str, int, int]]] = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, asked), daemon=True).start()
    room = Room()
    try:
        while True:
            send(sys.stdout.buffer, [read_file(Wanted(*wanted), room) for wanted in asked.get()])
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(0)


def _listen(stream: IO[bytes], asked: "SimpleQueue[list[tuple[str, int, int]]]") -> None:
    """Take every question at once: whoever asks is never kept waiting while an answer waits for it to listen."""
    try:
        while True:
            asked.put(cast("list[tuple[str, int, int]]", receive(stream)))
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
