"""A base backup copied into a folder and verified in the same pass: every byte of the source is read once.

The work is done by a child process (`worker`); this side starts it, tells how far it is, and ends it. What an
interrupted copy has finished is kept when the copy is made again (`ledger`).
"""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from msgspec import Struct

from engine.records import errors
from engine.records.copies import BaseBackup
from engine.records.errors import RepriseError, RunFailed, Unreachable
from engine.records.survey import OsUser
from engine.transfer.contents import CONTROL, HELD_BACK_CONTROL
from engine.transfer.durable import fsync_path
from engine.transfer.failures import writing
from engine.transfer.ledger import LEDGER
from engine.transfer.naming import shown

TOLD_AFTER = 5.0  # seconds without one byte read or written until that is told
STALLED_SECONDS = 120.0  # without one byte read or written: a repository that hangs
PATIENCE = 2.0  # seconds without a sign of life until the worker pauses; longer than a slow fsync of the journal
_TICK = 0.15  # seconds between two looks at the worker and two signs of life to it
_LETS_GO = 2.0  # seconds that a killed worker gets to end
_LAST_WORDS = 4096  # bytes of a crashed worker's stderr that are told


class CopyResult(Struct, frozen=True):
    """``bytes`` and ``files`` of the whole copy; ``kept`` files of an interrupted copy were not written again.
    ``verified``: each file's checksum was compared with the manifest's."""

    files: int
    bytes: int
    verified: bool
    kept: int = 0


def copy_backup(
    source: BaseBackup,
    destination: Path,
    *,
    tablespaces: Mapping[int, Path],
    owner: OsUser | None,
    progress: Callable[[int, int | None], None],
    safe_point: Callable[[], None],
    waiting: Callable[[str], None] = lambda why: None,
    hold_back_control: bool = True,
    bytes_per_second: int | None = None,
) -> CopyResult:
    """Copy ``source`` into ``destination`` and the tablespaces' contents into their own places (by OID), all absent,
    empty, or an unfinished copy of the same backup. When this returns, all is on disk; global/pg_control is there as
    ``global/pg_control.reprise`` where it is held back, until ``release_control``.

    ``progress`` hears bytes done and bytes known, several times a second; ``safe_point`` is called as often: the copy
    pauses while it waits, and ends when it raises; ``waiting`` hears, as often, for what the copy waits (empty: it goes
    on). No more than ``bytes_per_second`` is read. Raises DamagedCopy that names the file, Unreachable for what goes
    wrong with the source, RunFailed for what goes wrong with the copy; what is there then stays, and never starts.
    """
    order = {
        "engine": os.getpid(),
        "patience": PATIENCE,
        "backup": os.path.abspath(source.path),  # noqa: PTH100  # resolves no links
        "format": source.format,
        "destination": os.fspath(destination.absolute()),
        "tablespaces": {oid: os.fspath(place.absolute()) for oid, place in tablespaces.items()},
        "owner": (owner.uid, owner.gid) if owner is not None and os.geteuid() == 0 else None,
        "hold_back_control": hold_back_control,
        "bytes_per_second": bytes_per_second,
    }
    with tempfile.TemporaryFile() as stderr:
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "engine.transfer.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            bufsize=0,
            env=os.environ | {"PYTHONPATH": os.fspath(Path(__file__).parents[2])},
        )
        assert worker.stdin is not None and worker.stdout is not None
        try:
            _say(worker.stdin, json.dumps(order).encode() + b"\n")
            result = _listen(worker.stdin, worker.stdout, source, progress, safe_point, waiting)
        finally:
            _end(worker)
        if result is None:
            stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - _LAST_WORDS))
            last = stderr.read().decode("utf-8", "replace").strip()
            raise RunFailed(
                "the copying process ended before the copy was done",
                cause=last or f"exit code {worker.returncode}",
                remedy="reprise resume goes on with the copy",
            )
    return CopyResult(**result)


def _listen(
    stdin: IO[bytes],
    stdout: IO[bytes],
    source: BaseBackup,
    progress: Callable[[int, int | None], None],
    safe_point: Callable[[], None],
    waiting: Callable[[str], None],
) -> dict[str, Any] | None:
    """Until the worker has a result (None: it ended without one)."""
    pending = b""
    done, moved = 0, time.monotonic()
    while True:
        before = time.monotonic()
        safe_point()
        if time.monotonic() - before > 1:
            moved = time.monotonic()  # held: that was no stall
        _say(stdin, b"\n")
        silent = time.monotonic() - moved
        waiting(f"waiting: no byte for {silent:.0f} s from {shown(source.path)}" if silent > TOLD_AFTER else "")
        if not select.select([stdout], [], [], _TICK)[0]:
            _not_stalled(source, moved)
            continue
        data = os.read(stdout.fileno(), 65536)
        if not data:
            return None
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "result" in said:
                result: dict[str, Any] = said["result"]
                progress(result["bytes"], result["bytes"])
                return result
            if "error" in said:
                raise _error(said["error"])
            if said["done"] != done or said["syncing"]:
                done, moved = said["done"], time.monotonic()
            progress(done, said["total"])
        _not_stalled(source, moved)


def _not_stalled(source: BaseBackup, moved: float) -> None:
    if time.monotonic() - moved > STALLED_SECONDS:
        raise Unreachable(
            f"the backup {shown(source.path)} does not answer",
            cause=f"no byte was copied for {STALLED_SECONDS:.0f} seconds",
            remedy="bring the repository back, then: reprise resume",
        )


def _say(stdin: IO[bytes], words: bytes) -> None:
    with suppress(BrokenPipeError):  # why it ended stands on its stdout
        rest = memoryview(words)
        while rest:
            rest = rest[os.write(stdin.fileno(), rest) :]


def _end(worker: "subprocess.Popen[bytes]") -> None:
    """No writer is left when this returns, unless the kernel itself cannot let go of it, on a file system that hangs:
    it is killed, and never comes back to our code."""
    if worker.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            worker.wait(0.5 if worker.stdout is None else 0.05)
    if worker.poll() is None:
        worker.kill()
        with suppress(subprocess.TimeoutExpired):
            worker.wait(_LETS_GO)
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            pipe.close()


def _error(said: dict[str, Any]) -> RepriseError:
    kind = getattr(errors, said["kind"], RepriseError)
    problem: RepriseError = kind(said["message"], cause=said["cause"], remedy=said["remedy"])
    return problem


def release_control(data_dir: Path) -> None:
    """Give a complete copy its global/pg_control: from here on it can start. Does nothing where that was done.
    Raises RunFailed."""
    held, control = data_dir / HELD_BACK_CONTROL, data_dir / CONTROL
    with writing(control):
        if held.exists():
            held.rename(control)
            fsync_path(control.parent)
        elif not control.exists():
            raise FileNotFoundError(2, "there is no pg_control in the copy")
        (data_dir / LEDGER).unlink(missing_ok=True)
        fsync_path(data_dir)


def hold_control(data_dir: Path) -> None:
    """The opposite of ``release_control``: a folder that cannot start until then. Raises RunFailed."""
    held, control = data_dir / HELD_BACK_CONTROL, data_dir / CONTROL
    with writing(control):
        if control.exists():
            control.rename(held)
        fsync_path(control.parent)
