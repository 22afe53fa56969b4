"""How the feed stands, and what it waits for: the worker tells, the watching thread reads, also while it hangs."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from engine.feed.orders import FeedStatus
from engine.records.errors import RepriseError

HANGS_AFTER = 5.0  # seconds of one read of the archive without an end


class Standing:
    """The status of one feed."""

    def __init__(self, status: FeedStatus) -> None:
        self._status = status
        self._busy_with: tuple[str, float] | None = None  # what is read now, since when (monotonic)
        self._waits: dict[str, str] = {}

    @property
    def listed(self) -> bool:
        return self._status.listed

    @property
    def count(self) -> int:
        return self._status.count

    def now(self, **changes: Any) -> None:
        """Tell changed fields of the status."""
        self._status = replace(self._status, **changes)

    def took(self, name: str) -> None:
        """The server took a segment."""
        self.now(served=name, count=self.count + 1, again=None)

    @contextlib.contextmanager
    def reading(self, what: str) -> Iterator[None]:
        self._busy_with = (what, time.monotonic())
        try:
            yield
        finally:
            self._busy_with = None

    def wait(self, about: str, why: str) -> None:
        self._waits[about] = why
        self._tell_waits()

    def go_on(self, about: str) -> None:
        if self._waits.pop(about, None) is not None:
            self._tell_waits()

    def _tell_waits(self) -> None:
        waiting = "; ".join(dict.fromkeys(self._waits.values())) or None
        self.now(waiting=waiting, waiting_since=None if waiting is None else self._status.waiting_since or time.time())

    def told(self) -> FeedStatus:
        """The status; of a worker that hangs in the archive, where."""
        status, busy = self._status, self._busy_with
        if busy is not None and (hanging := time.monotonic() - busy[1]) >= HANGS_AFTER:
            why = f"the archive does not answer: reading {busy[0]} does not end"
            return replace(status, waiting=why, waiting_since=time.time() - hanging)
        return status


def words(error: Exception, what: str) -> str:
    """What was wrong, for the operator; ``what`` is the file or folder that was wanted."""
    if isinstance(error, RepriseError):
        return error.message
    if isinstance(error, OSError) and error.strerror:
        where = error.filename if isinstance(error.filename, str) else what
        return f"{what}: {error.strerror}" + (f" ({where})" if where != what else "")
    return f"{what}: {error}"
