"""Reading segments, here or in child processes.

A child (``python -m engine.wal.worker``) is asked on its standard input and answers on its standard output; it ends
when its input does, so nothing is left behind when the program is killed.
"""

import contextlib
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
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


class Worker:
    """A child process that reads segments."""

    def __init__(self) -> None:
        root = str(Path(__file__).parents[2])
        paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "engine.wal.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"},  # numpy starts faster without them
        )

    def read(self, chunk: Sequence[Wanted]) -> list[SegmentReading | None]:
        """Read these files. Raises EOFError where the child died."""
        stdin, stdout = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        try:
            _send(stdin, [tuple(wanted) for wanted in chunk])
        except OSError as error:
            raise EOFError from error
        return cast(list[SegmentReading | None], _receive(stdout))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # what was still to be written to the killed child
                    stream.close()


def _send(stream: IO[bytes], value: object) -> None:
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def _receive(stream: IO[bytes]) -> object:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return pickle.loads(data)


def main() -> None:
    from engine.wal.stripped import Room

    stdin, stdout, room = sys.stdin.buffer, sys.stdout.buffer, Room()
    try:
        while True:
            chunk = cast("list[tuple[str, int, int]]", _receive(stdin))
            _send(stdout, [read_file(Wanted(*wanted), room) for wanted in chunk])
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        os._exit(0)


if __name__ == "__main__":
    main()
