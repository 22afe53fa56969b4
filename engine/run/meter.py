"""How far the running step is, for readers: measured, with its rate, in ``progress.json`` (replaced atomically, at
most three times a second, never fsynced: it is of no use after a crash)."""

import os
import time
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from engine.records.coding import to_json
from engine.records.runs import Progress

_INTERVAL = 0.33  # seconds between two writings
_WINDOW = 15.0  # seconds over which the rate is measured


class Meter:
    """The progress of one attempt at one step."""

    def __init__(self, path: Path, step: str) -> None:
        self._path, self._step = path, step
        self._written_at = float("-inf")
        self._samples: deque[tuple[float, int]] = deque()
        self.last: Progress | None = None
        with suppress(OSError):
            path.unlink()

    def tell(self, done: int, total: int | None, unit: Literal["bytes", "lsn", "files"], detail: str) -> None:
        moment = time.monotonic()
        complete = total is not None and done >= total and (self.last is None or self.last.done < done)
        if self._samples and done < self._samples[-1][1]:
            self._samples.clear()  # counted anew: the step began another part
        if not self._samples or moment - self._samples[-1][0] >= _INTERVAL:
            self._samples.append((moment, done))
            while moment - self._samples[0][0] > _WINDOW and len(self._samples) > 2:
                self._samples.popleft()
        first_at, first = self._samples[0]
        rate = (done - first) / (moment - first_at) if moment - first_at >= 0.5 else None
        self.last = Progress(done, total, unit, rate, detail, datetime.now(UTC))
        if complete or moment - self._written_at >= _INTERVAL:
            self._written_at = moment
            self._write(self.last)

    def _write(self, progress: Progress) -> None:
        building = self._path.with_suffix(".new")
        with suppress(OSError):  # a full disk must not end a run for want of a progress bar
            handle = os.open(building, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(to_json({self._step: progress}))
            building.replace(self._path)
