"""``python -m engine.drill.keeper FOLDER``: sees to it that nothing of a drill runs on when nobody is there any more.

It holds a pipe of whoever began the drill (its standard input). When that closes, the drill ends, unless it was told
before that the drill stands by itself: then it ends with its time, the limit and a grace. It also does what happens
while the operator is at work. It says on its standard output when it has begun.
"""

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.drill import folder as folders
from engine.drill.ending import conclude
from engine.records.errors import RepriseError, Unreachable
from engine.run.folder import list_runs
from engine.run.locks import lock_holder, take_lock
from engine.system.ours import our_environment, our_program

LOG = "keeper.log"
GRACE = 1800  # seconds that a drill stands beyond its limit
_POLL = 0.1  # seconds
_STAY = b"stay\n"


class Keeper:
    """A drill's keeper, as whoever began the drill holds it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._stays = False

    def leave(self) -> None:
        """The drill stands by itself from now on. Raises Unreachable where its keeper is gone."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(_STAY)
            self._process.stdin.close()
        except OSError as failure:
            raise Unreachable("the drill's keeper is gone", cause=failure.strerror) from None
        self._stays = True

    def close(self) -> None:
        """We go: the drill ends, unless it stands by itself. Returns when nothing of it runs."""
        if self._stays:
            return
        with suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._process.wait(60)


def start_keeper(folder: Path) -> Keeper:
    """Start the keeper of a drill, in a session of its own. Raises Unreachable where it does not begin."""
    with os.fdopen(os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
        process = subprocess.Popen(
            our_program("engine.drill.keeper", folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            env=our_environment(),
            start_new_session=True,
        )
    assert process.stdout is not None
    with process.stdout as said:
        if not (select.select([said], [], [], 30)[0] and said.readline()):
            process.kill()
            raise Unreachable(f"the keeper of the drill did not begin, see {folder / LOG}")
    return Keeper(process)


def is_kept(folder: Path) -> bool:
    """Whether a drill's keeper lives."""
    return lock_holder(folder / folders.KEEPER) is not None


def main() -> int:
    folder = Path(sys.argv[1])
    os.umask(0o077)
    lock = take_lock(folder / folders.KEEPER, folder.name, "the drill has a keeper already")
    print("begun", flush=True)
    os.close(1)
    try:
        conclude(folder, _keep(folder))
    finally:
        lock.release()
    return 0


def _keep(folder: Path) -> str:
    """Until the drill is over, or must end; why."""
    held, stays = True, False
    mischief: _Mischief | None = None
    try:
        while not folders.is_over(folder):
            if held and select.select([0], [], [], _POLL)[0]:
                told = os.read(0, 64)
                stays = stays or told.startswith(_STAY.strip())
                held = bool(told)
                if not told and not stays:
                    return "whoever began it is gone"
            elif not held:
                time.sleep(_POLL)
            card = folders.read_card(folder)
            if card.called_at is None:
                continue
            if datetime.now(UTC) > card.called_at + timedelta(seconds=card.limit_seconds + GRACE):
                return "its time is over"
            mischief = mischief or _Mischief(folder, Path(card.lab))
            mischief.go_on()
        return "it was ended"
    finally:
        if mischief is not None:
            mischief.end()


class _Mischief:
    """What happens while the operator is at work."""

    def __init__(self, folder: Path, lab: Path) -> None:
        self._folder, self._state = folder, folder / folders.STATE
        self._later = folders.read_truth(folder).named.scenario.later
        self._had: set[tuple[str, int]] = set()  # which run has met which of them
        self._backup = lab / "backup"
        self._away: list[tuple[Path, Path]] = []
        self._until = 0.0

    def go_on(self) -> None:
        """Begin what is due, and end what has lasted long enough."""
        if self._away and time.monotonic() > self._until:
            self.end()
        if self._later and not self._away:
            for seconds in self._due():
                self._take_away(seconds)
                break

    def _due(self) -> Iterator[float]:
        """For how long something is to go away now."""
        with suppress(RepriseError):
            runs = [run for run in list_runs(self._state)[0] if run.pid is not None and run.plan.copying is None]
            for run in runs:
                at = {step.kind for step in run.steps if step.outcome == "running"}
                for number, later in enumerate(self._later):
                    if later.when in at and (run.run, number) not in self._had:
                        self._had.add((run.run, number))
                        yield later.seconds

    def _take_away(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        for name in ("base", "wal"):
            there, away = self._backup / name, self._backup / f".{name}.away"
            with suppress(OSError):  # the operator has moved it himself, or it may not be moved: no mischief, then
                there.rename(away)
                self._away.append((there, away))
        if self._away:
            self._note("away")

    def _note(self, kind: str) -> None:
        with suppress(OSError):  # the record tells less on a full disk; what was taken away comes back all the same
            folders.note(self._folder, kind)

    def end(self) -> None:
        """All that went away is back. What was written in its place meanwhile is kept beside it."""
        if self._away:
            self._note("back")
        while self._away:
            there, away = self._away.pop()
            with suppress(OSError):
                there.rename(there.with_name(f".{there.name}.beneath-{time.time_ns()}"))
            with suppress(OSError):
                away.rename(there)


if __name__ == "__main__":
    sys.exit(main())
