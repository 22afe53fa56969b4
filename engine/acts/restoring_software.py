"""The software brought back: a copy of its source code, or of its environment (an installation folder, an image)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from engine.acts.desk import Desk, writable
from engine.acts.looking import look
from engine.environment.images import unpack
from engine.records.copies import ImageCopy, SourceCopy
from engine.records.errors import Refused, RunFailed, UsageError
from engine.run.locks import folder_lock, take_lock
from engine.source.copies import clone_at

C = TypeVar("C", SourceCopy, ImageCopy)


class BroughtBack(Struct, frozen=True):
    """What now stands in ``into``; ``commit`` of a clone."""

    copy: str
    into: str
    commit: str | None = None


def restore_source(
    desk: Desk, copy: str | None, into: Path, *, revision: str | None = None, at: datetime | None = None
) -> BroughtBack:
    """A clone of a source copy (None: the newest) in an absent folder, at a revision, or at the last commit of its
    main branch before ``at``; else at its main branch. Raises UsageError, Refused, RepriseError."""
    writable(desk)
    found = _choose(look(desk).catalog.sources, copy, "source")
    with _alone(desk, into):
        return BroughtBack(found.id, str(into), clone_at(found, into, revision=revision, at=at))


def restore_image(
    desk: Desk, copy: str | None, into: Path, *, progress: Callable[[str, int, int | None], None]
) -> BroughtBack:
    """A copy of the environment (None: the newest) unpacked into an absent folder, or copied to an absent file. Raises
    UsageError, Refused, DamagedCopy, RunFailed."""
    writable(desk)
    found = _choose(look(desk).catalog.images, copy, "image")
    with _alone(desk, into):
        try:
            unpack(found, into, lambda done: progress(found.id, done, None))
        except RunFailed as error:
            error.remedy = "mend that, then try again: what was begun is taken away then"
            raise
    return BroughtBack(found.id, str(into))


@contextmanager
def _alone(desk: Desk, into: Path) -> Iterator[None]:
    """``into`` is absent, and nobody else fills it meanwhile. Raises Refused, RepriseError."""
    _absent(into)
    lock = take_lock(folder_lock(desk.state, into), "restore", f"{into} is being filled already")
    try:
        _absent(into)
        yield
    finally:
        lock.release()


def _choose(copies: Sequence[C], id: str | None, kind: str) -> C:
    if not copies:
        raise UsageError(f"there is no copy of the kind {kind}", remedy=f"take one: reprise backup {kind}")
    if id is None:
        return max(copies, key=lambda each: each.started_at)
    found = next((each for each in copies if each.id == id), None)
    if found is None:
        raise UsageError(f"there is no copy {id!r}", remedy="there are: " + ", ".join(each.id for each in copies[-5:]))
    return found


def _absent(into: Path) -> None:
    if into.exists() or into.is_symlink():
        raise Refused(f"{into} is there already", remedy="name a folder that does not exist yet")
    if not into.parent.is_dir():
        raise Refused(f"{into.parent} does not exist", remedy="make it first")
