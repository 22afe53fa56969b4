"""Where the lab lies. PostgreSQL's programs run as `run_as` and must be able to go there; nothing that is not a lab
is ever emptied."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.records.errors import Refused, RepriseError
from engine.records.survey import OsUser
from engine.system.users import is_root, may_reach

MARK = ".reprise-lab"  # in a lab's folder from the first moment on; also the lock of who builds
DONE = "lab.json"  # written last: without it the lab is half-built

_SHARED = Path("/var/tmp")
_LONGEST = 107 - len("/s/.s.PGSQL.65535")  # unix(7)


def lab_folder(given: Path | None, state: Path, user: OsUser, name: str = "lab") -> Path:
    """The lab's folder: ``given``; else ``name`` below the state folder if ``user`` may go there; else one of its own
    below /var/tmp. A finished one is found again in either place."""
    if given is not None:
        return given.absolute()
    below = state.absolute() / name
    key = hashlib.sha256(os.fsencode(state.absolute())).hexdigest()[:8]
    apart = _SHARED / f"reprise-{name}-{os.geteuid()}-{key}"
    for place in (below, apart):
        if (place / DONE).is_file():
            return place
    fits = len(os.fsencode(below)) <= _LONGEST
    open_to_him = not is_root() or (state.is_dir() and may_reach(user, state))
    return below if fits and open_to_him else apart


@contextmanager
def taken(directory: Path) -> Iterator[None]:
    """Hold a lab's folder while building: made if it is absent, checked to be ours, locked.

    Raises Refused where something else stands there, or another lab is being built in it.
    """
    check_ours(directory)
    if len(os.fsencode(directory)) > _LONGEST:
        raise Refused(
            f"the lab's folder has too long a path: {directory}",
            cause=f"a Unix socket's path may have 107 bytes, so the folder's may have {_LONGEST}",
            remedy="choose a shorter one with --dir",
        )
    try:
        directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        directory.chmod(0o711 if is_root() else 0o700)
        mark = os.open(directory / MARK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as failure:
        raise RepriseError(
            f"the lab cannot be built in {directory}", cause=failure.strerror, remedy="choose another with --dir"
        ) from None
    try:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"another reprise is building the lab in {directory} now", remedy="wait for it") from None
        yield
    finally:
        os.close(mark)


def check_ours(directory: Path) -> None:
    """Raises Refused where the folder is neither absent, nor empty, nor a lab of ours."""
    try:
        status = directory.lstat()
    except FileNotFoundError:
        return
    except OSError as failure:
        raise Refused(f"the lab's folder {directory} cannot be looked at", cause=failure.strerror) from None
    if not directory.is_dir() or directory.is_symlink():
        raise Refused(f"{directory} is not a folder", remedy="choose another with --dir")
    if status.st_uid != os.geteuid():
        raise Refused(
            f"the lab's folder {directory} belongs to somebody else (uid {status.st_uid})",
            remedy="choose another with --dir",
        )
    if any(directory.iterdir()) and not (directory / MARK).is_file():
        raise Refused(
            f"{directory} is not empty and not a lab; nothing in it was touched",
            remedy="choose an absent or empty folder with --dir",
        )


def emptied(directory: Path) -> None:
    """Remove all that a lab's folder holds, but for its mark."""
    for entry in directory.iterdir():
        if entry.name == MARK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
