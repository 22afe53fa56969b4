"""A step's run that journals nothing: what a test of a step hands to ``apply`` and ``undo``."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from engine.postgres.server import Server
from engine.records.plan import Check, Plan
from engine.records.runs import Reached
from engine.site import Site
from engine.steps.protocol import Stopped
from engine.steps.shared.recovering import server_of, stop_feed


class Told(Struct):
    """An operator's answer at the gate."""

    act: str
    target: Mapping[str, Any] | None = None


class Rehearsal(Struct, dict=True):
    """A RunningStep that runs the steps and journals nothing."""

    plan: Plan
    site: Site
    run_dir: Path
    args: Mapping[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    undo_records: list[Mapping[str, Any]] = field(default_factory=list)
    progresses: list[tuple[int, int | None, str]] = field(default_factory=list)
    found: list[Mapping[str, Any]] = field(default_factory=list)
    proofs: list[Reached] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    answers: list[Told] = field(default_factory=list)
    notes: list[Mapping[str, Any]] = field(default_factory=list)
    at_safe_point: Callable[[], None] = lambda: None
    seconds: Mapping[str, float | None] = field(default_factory=dict)
    while_it_waits: Callable[[Callable[[], None] | None], None] = lambda _: None

    def before(self, **how_to_undo: Any) -> None:
        self.undo_records.append(how_to_undo)

    def fact(self, **found: Any) -> None:
        self.facts |= found

    def progress(self, done: int, total: int | None, unit: str = "bytes", detail: str = "") -> None:
        self.progresses.append((done, total, detail))

    def waiting(self, detail: str) -> None:
        self.progress(0, None, detail=detail)

    def safe_point(self) -> None:
        self.at_safe_point()

    def wait_for_answer(self, finding: Mapping[str, Any], *, meanwhile: Callable[[], None] | None = None) -> Told:
        self.found.append(finding)
        self.while_it_waits(meanwhile)
        if not self.answers:
            raise Stopped
        return self.answers.pop(0)

    def reached(self, reached: Reached) -> None:
        self.proofs.append(reached)

    def check(self, check: Check) -> None:
        self.checks.append(check)

    def server(self, **where: Any) -> None:
        self.facts["server"] = where

    def note(self, **content: Any) -> None:
        self.notes.append(content)

    def log(self, line: str) -> None:
        self.lines.append(line)

    @property
    def copy(self) -> Server:
        return server_of(self)

    def rows(self, query: str) -> list[Any]:
        with self.copy.connect() as connection:
            return connection.execute(query).fetchall()

    def end(self) -> None:
        stop_feed(self)
        self.copy.stop("immediate")
