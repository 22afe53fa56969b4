"""How far something is, told while it goes on."""

import sys
import time as clock
from collections.abc import Callable
from zoneinfo import ZoneInfo

from engine.cli.printing import say, say_passing
from engine.cli.telling import duration, size
from engine.records.runs import RunState


def reading(quiet: bool) -> Callable[[int, int], None]:
    """Progress of reading the archive, on stderr, only when somebody watches and it takes a while."""
    started = clock.monotonic()
    shown = [started + 1.0]

    def progress(done: int, total: int) -> None:
        now = clock.monotonic()
        if not quiet and sys.stderr.isatty() and now >= shown[0]:
            shown[0] = now + 0.5
            say_passing(f"reading WAL: {done} of {total} segments", last=done == total)

    return progress


def building(quiet: bool) -> Callable[[int, int, str], None]:
    def progress(done: int, total: int, what: str) -> None:
        if not quiet:
            say(f"[{done}/{total}] {what}", err=True)

    return progress


def sending(quiet: bool) -> Callable[[str, int], None]:
    """Progress of what goes over a line, on stderr, where somebody watches."""
    progress = verifying(quiet, "sending")
    return lambda what, done: progress(what, done, None)


def verifying(quiet: bool, verb: str = "verifying") -> Callable[[str, int, int | None], None]:
    """Progress of a long reading, on stderr, where somebody watches."""
    shown = [clock.monotonic() + 1.0]

    def progress(what: str, done: int, total: int | None) -> None:
        now = clock.monotonic()
        if not quiet and sys.stderr.isatty() and now >= shown[0]:
            shown[0] = now + 0.5
            share = f"{100 * done // total} %" if total else size(done)
            say_passing(f"{verb} {what}: {share}   ")

    return progress


def counting(quiet: bool) -> Callable[[str, int, int | None], None]:
    """Progress of work on files, on stderr, where somebody watches."""
    shown = [clock.monotonic() + 0.5]

    def progress(what: str, done: int, total: int | None) -> None:
        now = clock.monotonic()
        if not quiet and sys.stderr.isatty() and now >= shown[0]:
            shown[0] = now + 0.5
            say_passing(f"{what}: {done}{f' of {total}' if total is not None else ''} files   ")

    return progress


def following(quiet: bool, zone: ZoneInfo) -> Callable[[RunState], None]:
    """One line per change of the running step; measured progress at most every two seconds."""
    last: dict[str, object] = {}

    def show(state: RunState) -> None:
        if quiet:
            return
        now = clock.monotonic()
        for step in state.steps:
            if step.outcome == "to do":
                continue
            if last.get(step.name) != step.outcome:
                last[step.name] = step.outcome
                say(f"{step.outcome:<8} {step.title}", flush=True)
            progress = step.progress
            if step.outcome == "running" and progress and progress.total and now - float(str(last.get("at", 0))) >= 2:
                last["at"] = now
                left = duration(progress.seconds_left) if progress.seconds_left is not None else "unknown"
                percent = 100 * progress.done // progress.total
                done, total = (
                    str(each) if progress.unit == "files" else size(each) for each in (progress.done, progress.total)
                )
                say(
                    f"         {percent} %  {done} of {total}  left {left}  {progress.detail}",
                    flush=True,
                )

    return show
