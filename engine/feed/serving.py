"""The feed's own process.

One thread, the worker, does all that has to do with files, and may hang with a network file system; the main thread
only watches: it writes down how the feed stands, and ends the process when the engine goes (end of the pipe on
standard input).
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import threading
from pathlib import Path

from msgspec.structs import replace

from engine.feed.feeding import Feeding
from engine.feed.orders import GATE_FILE, STATUS_FILE, FeedSpec, FeedStatus, write_whole

_PR_SET_PDEATHSIG = 1


def serve(spec: FeedSpec, home: Path) -> None:
    """Feed one server until standard input ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's is not meant for us
    feeding = Feeding(spec)
    threading.Thread(target=_work, args=(feeding, home / GATE_FILE), daemon=True).start()
    written: FeedStatus | None = None
    while not _ended(sys.stdin.fileno()):
        told = feeding.standing.told()
        if told != written and (written is None or replace(told, waiting_since=written.waiting_since) != written):
            with contextlib.suppress(OSError):  # the state folder's disk is full: the next one will tell
                write_whole(home / STATUS_FILE, told)
                written = told
    os._exit(0)  # the worker may hang


def _work(feeding: Feeding, gate_file: Path) -> None:
    try:
        feeding.work(gate_file)
    except BaseException:  # a mistake of ours must not leave a feed that looks alive
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(70)


def _ended(handle: int) -> bool:
    """Wait a moment; whether the engine is gone."""
    readable, _, _ = select.select([handle], [], [], 0.05)
    return bool(readable) and not os.read(handle, 4096)
