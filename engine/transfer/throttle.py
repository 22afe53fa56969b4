"""An upper limit for the bytes that are read in a second, so that whoever else needs the disk or the line has some."""

import time
from collections.abc import Callable
from threading import Lock


class Throttle:
    """Bytes, counted by all threads together. ``bytes_per_second`` None: not limited. A rest that is not used (the run
    is held, the archive is slow) is not made up for later."""

    def __init__(
        self,
        bytes_per_second: int | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.bytes_per_second, self._clock, self._sleep = bytes_per_second, clock, sleep
        self._lock = Lock()
        self._free_at = 0.0  # when the bytes so far have had their time

    def take(self, count: int) -> None:
        """Count bytes that were read; returns when their time is over."""
        if self.bytes_per_second is None:
            return
        with self._lock:
            now = self._clock()
            self._free_at = max(self._free_at, now) + count / self.bytes_per_second
            wait = self._free_at - now
        self._sleep(wait)
