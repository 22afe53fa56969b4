"""What a journal's entries add up to: how each step stands, what was found out.

The engine and its readers fold the same entries with the same code, so that they cannot disagree.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, field

from engine.records.plan import Check
from engine.records.runs import Deed, Operator, Reached, RunError, StepOutcome
from engine.run.journal import Entry

Act = Literal["apply", "rollback", "discard"]


class StepStory(Struct):
    """One step, over all attempts. ``answer`` is what the operator said at the gate and the step has not yet done.
    ``attempts`` are its beginnings; ``held``: the operator held the run in it."""

    outcome: StepOutcome = "to do"
    started_at: datetime | None = None
    seconds: float | None = None
    bytes: int | None = None
    undo_records: list[Mapping[str, Any]] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    finding: Mapping[str, Any] | None = None
    answer: Mapping[str, Any] | None = None
    attempts: int = 0
    held: bool = False

    @property
    def at_a_stretch(self) -> bool:
        return self.attempts <= 1 and not self.held


class Story(Struct):
    """A run so far. ``act`` is what its last engine was started for, ``ended`` how that one ended (None: it has not,
    or it died). ``completed``: it was at its end once, whatever has been done with it since."""

    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    act: Act | None = None
    acts: set[str] = field(default_factory=set)
    ended: str | None = None
    completed: bool = False
    steps: dict[str, StepStory] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[Mapping[str, Any]] = field(default_factory=list)
    reached: Reached | None = None
    data_dir: str | None = None
    host: str | None = None
    port: int | None = None
    server_log: str | None = None
    error: RunError | None = None
    held: bool = False
    deeds: list[Deed] = field(default_factory=list)
    waited: float = (
        0.0  # seconds at gates and while the operator held it, until the answer or the engine's end was heard of
    )
    waiting_since: datetime | None = None
    completed_at: datetime | None = None

    def step(self, name: str) -> StepStory:
        return self.steps.setdefault(name, StepStory())

    @property
    def waiting(self) -> bool:
        """A step waits at a gate."""
        return any(step.outcome == "waiting" for step in self.steps.values())

    def hear(self, entry: Entry) -> None:
        """Take one entry in. Unknown kinds are passed over: a newer engine may have written them."""
        kind = entry["kind"].replace("-", "_")
        at = datetime.fromisoformat(entry["at"])
        telling = getattr(self, f"_{kind}", None)
        if telling is not None:
            telling(entry, at)

    def _created(self, entry: Entry, at: datetime) -> None:
        self.created_at = at

    def _engine(self, entry: Entry, at: datetime) -> None:
        """An engine started."""
        act: Act = entry["act"]
        self.act = act
        self.acts.add(act)
        self.started_at = self.started_at or at
        self.finished_at = self.ended = self.error = None
        self.held = False
        self.deeds.append(Deed(at, act, _operator(entry), entry.get("versions") or {}))
        self._waited_until(at)
        for step in self.steps.values():  # a gate of a dead engine waits for nobody
            if step.outcome == "waiting":
                step.outcome = "running"

    def _begin(self, entry: Entry, at: datetime) -> None:
        step = self.step(entry["step"])
        step.outcome, step.started_at, step.seconds = "running", at, None
        step.attempts += 1
        step.checks.clear()

    def _before(self, entry: Entry, at: datetime) -> None:
        self.step(entry["step"]).undo_records.append(entry["record"])

    def _fact(self, entry: Entry, at: datetime) -> None:
        self.facts.update(entry["found"])

    def _check(self, entry: Entry, at: datetime) -> None:
        self.step(entry["step"]).checks.append(Check(**entry["check"]))

    def _reached(self, entry: Entry, at: datetime) -> None:
        told = dict(entry["reached"])
        if told.get("last_commit_at"):
            told["last_commit_at"] = datetime.fromisoformat(told["last_commit_at"])
        self.reached = Reached(**told)

    def _server(self, entry: Entry, at: datetime) -> None:
        self.data_dir, self.host, self.port = entry["data_dir"], entry["host"], entry["port"]
        self.server_log = entry["log"]
        self.facts["server"] = {name: entry[name] for name in ("data_dir", "host", "port", "log")}

    def _gate(self, entry: Entry, at: datetime) -> None:
        step = self.step(entry["step"])
        step.outcome, step.finding, step.answer = "waiting", entry["finding"], None
        self.waiting_since = self.waiting_since or at
        if declined := entry["finding"].get("note"):  # why the last answer was not followed
            self.notes.append({"at": entry["at"], "step": entry["step"], "text": declined})

    def _answer(self, entry: Entry, at: datetime) -> None:
        step = self.step(entry["step"])
        step.outcome, step.answer = "running", {"act": entry["act"], "target": entry.get("target")}
        self.deeds.append(Deed(at, entry["act"], _operator(entry)))
        self._waited_until(at)

    def _held(self, entry: Entry, at: datetime) -> None:
        self.held = True
        self.waiting_since = self.waiting_since or at
        for step in self.steps.values():
            step.held = step.held or step.outcome == "running"

    def _going_on(self, entry: Entry, at: datetime) -> None:
        self.held = False
        if not self.waiting:
            self._waited_until(at)

    def _end(self, entry: Entry, at: datetime) -> None:
        step = self.step(entry["step"])
        step.outcome, step.seconds, step.bytes = "done", entry["seconds"], entry["bytes"]

    def _failed(self, entry: Entry, at: datetime) -> None:
        step = self.step(entry["step"])
        step.outcome, step.seconds = "failed", entry["seconds"]
        self.error = RunError(**entry["error"])

    def _undo_begin(self, entry: Entry, at: datetime) -> None:
        step = self.step(entry["step"])
        step.outcome, step.started_at, step.seconds = "running", at, None

    def _undone(self, entry: Entry, at: datetime) -> None:
        step = self.step(entry["step"])
        step.outcome, step.seconds = "undone", entry["seconds"]

    def _note(self, entry: Entry, at: datetime) -> None:
        self.notes.append({name: value for name, value in entry.items() if name != "kind"})

    def _finished(self, entry: Entry, at: datetime) -> None:
        self.ended, self.finished_at = entry["outcome"], at
        self._waited_until(at)
        if self.ended == "completed":
            self.completed, self.completed_at = True, self.completed_at or at
        self.held = False
        if entry.get("error"):
            self.error = RunError(**entry["error"])

    def _waited_until(self, at: datetime) -> None:
        if self.waiting_since is not None:
            self.waited += max(0.0, (at - self.waiting_since).total_seconds())
            self.waiting_since = None


def _operator(entry: Entry) -> Operator | None:
    """Who is behind an entry, where it says so."""
    return Operator(**entry["operator"]) if entry.get("operator") else None
