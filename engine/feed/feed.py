"""The engine's handle of a feed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import engine
from engine.feed.orders import GATE_FILE, SPEC_FILE, STATUS_FILE, FeedSpec, FeedStatus, Gate, read_status, write_whole
from engine.feed.script import write_script
from engine.feed.spool import Spool
from engine.records.errors import RunFailed

LOG_FILE = "feed.log"


class Feed:
    """A running feed. It ends when this process ends, however that ends."""

    def __init__(self, process: "subprocess.Popen[bytes]", home: Path, spec: FeedSpec) -> None:
        self._process, self._home = process, home
        self.spec = spec

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def status(self) -> FeedStatus | None:
        """How it stands; None until it told for the first time. Raises RunFailed where it died."""
        status = read_status(self._home / STATUS_FILE)
        if not self.alive():
            raise RunFailed(
                "the WAL feed died",
                cause=_tail(self._home / LOG_FILE) or f"exit code {self._process.returncode}",
                remedy="resume the run: the server waits meanwhile",
            )
        return status if status is not None and status.pid == self._process.pid else None

    def set_gate(self, gate: Gate, timeout: float = 30, *, waiting: Callable[[], None] = lambda: None) -> None:
        """Raise the gate, and return when the feed works by it (``timeout`` in seconds); ``waiting`` is called again
        and again meanwhile. Raises RunFailed."""
        write_whole(self._home / GATE_FILE, gate)
        deadline = time.monotonic() + timeout
        while (status := self.status()) is None or status.gate != gate.lsn:
            if time.monotonic() > deadline:
                raise RunFailed(
                    "the WAL feed did not take up the new gate",
                    cause=(status.waiting if status else None) or "it does not answer",
                    remedy="see that the archive answers, then resume the run",
                )
            waiting()
            time.sleep(0.01)

    def stop(self) -> None:
        """End it; the server then waits for the next feed. One that hangs in the archive is killed, and left to the
        kernel: it never comes back to our code."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()


def start_feed(spec: FeedSpec, home: Path) -> Feed:
    """Start a feed. ``home`` is a folder of the run (0700): spec, gate, status and log lie there.

    The spool and its restore script are there when this returns; raises RunFailed where they cannot be made.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    (home / STATUS_FILE).unlink(missing_ok=True)
    (home / GATE_FILE).unlink(missing_ok=True)
    write_whole(home / SPEC_FILE, spec)
    try:
        Spool(Path(spec.spool), spec.uid, spec.gid).make()
        write_script(Path(spec.spool), spec.uid, spec.gid)
    except OSError as error:
        raise RunFailed(
            f"the spool {spec.spool} cannot be made", cause=str(error), remedy="make room or mend it, then resume"
        ) from error
    source = str(Path(engine.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH", "")]))
    with (home / LOG_FILE).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.feed", str(home)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd="/",
            env={**os.environ, "PYTHONPATH": path},
        )
    return Feed(process, home, spec)


def _tail(path: Path, lines: int = 5) -> str:
    try:
        return "\n".join(path.read_text("utf-8", "replace").splitlines()[-lines:])
    except OSError:
        return ""
