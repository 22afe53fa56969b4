"""Locks that die with their holder: flock(2), with who and since when written into the locked file.

A site is locked for a restore in place, a destination folder for a side copy, a repository while a copy is taken into
it, a site's proof drills by the one that goes on, a run's folder by its engine. The files stay where they are; only the
lock on them counts.
"""

import fcntl
import hashlib
import os
import pwd
import re
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from engine.records.coding import from_json, to_json
from engine.records.errors import RepriseError
from engine.records.survey import LockHolder

_RUN = re.compile(r"\d{8}T\d{6}Z-")  # else a command that is no run holds it: expire, push
_PATIENCE = (
    1.0  # seconds; a reader that asks for the holder locks for a moment itself, and so does a dead engine's child
)


class Lock:
    """A lock that this process holds until ``release`` or its death; children that it forks do not inherit it."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self._file: int | None = file
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def site_lock(state: Path, site: str) -> Path:
    """The lock file of a site, for whatever changes the site itself."""
    readable = re.sub(r"[^A-Za-z0-9_.-]", "-", site)[:40]
    return state / "locks" / f"site-{readable}-{_digest(site)}.lock"


def proof_lock(state: Path, site: str) -> Path:
    """The lock file of a site's proof drills: one at a time."""
    return site_lock(state, site).with_suffix(".proof.lock")


def folder_lock(state: Path, folder: Path) -> Path:
    """The lock file of a destination folder, which need not exist yet."""
    return state / "locks" / f"folder-{_digest(os.path.realpath(folder))}.lock"


def repository_lock(state: Path, repository: str) -> Path:
    """The lock file of a folder that copies are taken into, by its name in the site file: it may lie on a server that
    does not answer now, so it is not looked at."""
    return state / "locks" / f"repository-{_digest(os.path.normpath(repository))}.lock"


def second_lock(state: Path, address: str) -> Path:
    """The lock file of a second place, for who sends many copies there and for who deletes there. (A run that sends its
    own copy holds that one's repository, as whoever deletes must.)"""
    return state / "locks" / f"second-{_digest(address.rstrip('/'))}.lock"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def take_lock(path: Path, run: str, refusal: str) -> Lock:
    """Lock the file for a run. Raises RepriseError with ``refusal`` as its message and the holder as its cause."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if not _locked_in_time(file):
        holder = _read_holder(path)
        os.close(file)
        raise RepriseError(
            refusal,
            cause=f"{holder.run}, process {holder.pid} of {holder.user}, since {holder.since:%Y-%m-%d %H:%M:%SZ}"
            if holder
            else None,
            remedy=f"wait for it (reprise attach {holder.run}), or stop it: reprise cancel {holder.run}"
            if holder and _RUN.match(holder.run)
            else "wait for it",
        )
    holder = LockHolder(run, os.getpid(), _user(), datetime.now(UTC))
    with suppress(OSError):  # the disk is full: it is held all the same, and says not by whom
        os.ftruncate(file, os.pwrite(file, to_json(holder), 0))
    return Lock(path, file)


def hold_folder(folder: Path, refusal: str) -> Lock | None:
    """Lock a folder itself, without a trace in it: against an operator who keeps his runs under another state folder.
    None where there is no such folder. Raises RepriseError with ``refusal``."""
    try:
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    if not _locked_in_time(file):
        os.close(file)
        raise RepriseError(
            refusal, cause="a run with another state folder works on it", remedy="ask who else restores here"
        )
    return Lock(folder, file)


def lock_holder(path: Path) -> LockHolder | None:
    """Who holds the lock now; None where nobody does. Never waits."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        if _locked(file, fcntl.LOCK_SH):
            return None
    finally:
        os.close(file)
    return _read_holder(path) or LockHolder("unknown", 0, "unknown", datetime.now(UTC))


def _locked_in_time(file: int) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while not _locked(file, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _locked(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_holder(path: Path) -> LockHolder | None:
    with suppress(OSError, msgspec.DecodeError):  # ValidationError is a DecodeError
        return from_json(path.read_bytes(), LockHolder)
    return None


def _user() -> str:
    with suppress(KeyError):
        return pwd.getpwuid(os.getuid()).pw_name
    return str(os.getuid())
