"""Child processes that read segments (`worker`): asked on their standard input, they answer on their standard output.
They end when their input does, so nothing is left behind when the program is killed."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

from engine.wal.reading import SegmentReading
from engine.wal.worker import Wanted, receive, send


class Child:
    """One of them; to be closed."""

    def __init__(self) -> None:
        root = str(Path(__file__).parents[2])
        paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "engine.wal.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,  # what was answered is in the pipe, where ``fileno`` shows it
            env={**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"},  # numpy starts faster without them
        )

    def fileno(self) -> int:
        """Readable when there is an answer, or the child has died."""
        return cast(IO[bytes], self._process.stdout).fileno()

    def ask(self, files: Sequence[Wanted]) -> None:
        """Ask for these files' readings. That it has died shows where it is to answer."""
        with contextlib.suppress(OSError):
            send(cast(IO[bytes], self._process.stdin), [tuple(wanted) for wanted in files])

    def answer(self) -> list[SegmentReading | None]:
        """Wait for the next answer. Raises EOFError where the child has died."""
        return cast(list[SegmentReading | None], receive(cast(IO[bytes], self._process.stdout)))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # what was still to be written to the killed child
                    stream.close()
