"""What came of it: each mark asked of the lab as it stands after the operator's work, by SQL and of the files."""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.drill import scenario as words
from engine.drill.damage import hashes
from engine.drill.facts import as_query
from engine.drill.folder import Marked, Truth
from engine.drill.hands import Hands
from engine.drill.staging import fingerprint
from engine.lab.lab import Lab
from engine.postgres.connecting import Connection, QueryFailed
from engine.records.drills import Mark
from engine.records.errors import RepriseError
from engine.records.runs import RunState
from engine.system.births import birth_of

Answer = tuple[bool, str]


def mark(truth: Truth, lab: Lab, hands: Hands, runs: Sequence[RunState], seconds: float) -> Marked:
    """Ask every mark. ``runs`` are the operator's, newest first; ``seconds`` he has needed so far. Nothing is changed.
    What cannot be asked (no server answers) is not fulfilled, and says why."""
    asking = _Asking(truth, lab, hands, runs, seconds)
    marks = tuple(asking.ask(each) for each in truth.named.scenario.marks)
    lost, rpo = asking.loss()
    return Marked(datetime.now(UTC), marks, lost, rpo)


class _Asking:
    def __init__(self, truth: Truth, lab: Lab, hands: Hands, runs: Sequence[RunState], seconds: float) -> None:
        self.truth, self.lab, self.hands = truth, lab, hands
        self.restores = [run for run in runs if run.plan.copying is None and run.outcome == "completed"]
        self.seconds = seconds

    def ask(self, asked: words.AnyMark) -> Mark:
        ok: bool | None
        try:
            ok, told = self._answer(asked)
        except (RepriseError, QueryFailed, OSError) as failure:
            said = str(failure).strip().splitlines()
            ok, told = None, said[0] if said else type(failure).__name__
        points = asked.points if ok else 0
        return Mark(asked.name, ok, points, asked.points, asked.needed, told, str(asked.__struct_config__.tag))

    def _answer(self, asked: words.AnyMark) -> Answer:
        match asked:
            case words.Accepts():
                return self._sql(_accepts)
            case words.SqlTrue():
                query, values = as_query(asked.sql, self.truth.facts)
                return self._sql(lambda connection: _is_true(connection, query, values))
            case words.SameTable():
                return self._sql(lambda connection: self._same_table(connection, asked.table, asked.like))
            case words.NothingLost():
                return self._sql(lambda connection: self._same_table(connection, "audit_trail", asked.like))
            case words.SameFiles():
                return self._same_files(asked.like)
            case words.FilesMatch():
                return self.hands.files_match()
            case words.Kept():
                return self._kept()
            case words.Proven():
                return self._proven()
            case words.InTime():
                limit = self.truth.named.scenario.limit_seconds
                return self.seconds <= limit, f"{self.seconds:.0f} of {limit} seconds"

    def _sql(self, ask: Callable[[Connection], Answer]) -> Answer:
        with self.lab.server.connect(timeout=5) as connection:
            return ask(connection)

    def _fact(self, name: str) -> Any:
        if name not in self.truth.facts:
            raise RepriseError(f"no step has noted {name}")
        return self.truth.facts[name]

    def _same_table(self, connection: Connection, table: str, like: str) -> Answer:
        noted = {key: self._fact(f"{like}.{table}.{key}") for key in ("rows", "last", "digest")}
        found = fingerprint(connection, table, noted["last"])
        if found["digest"] == noted["digest"]:
            return True, f"{noted['rows']} rows, as they were"
        return False, f"{found['rows']} of {noted['rows']} rows" + (
            ", and not as they were" if found["rows"] == noted["rows"] else ""
        )

    def _same_files(self, like: str) -> Answer:
        noted = self.truth.files[like]
        found = hashes(self.lab.media)
        missing = [path for path in noted if path not in found]
        wrong = [path for path in noted if path in found and found[path] != noted[path]]
        return not missing and not wrong, f"{len(noted)} files: {len(missing)} missing, {len(wrong)} wrong"

    def _kept(self) -> Answer:
        """Folders by their inode and their birth, wherever in the lab they were renamed to; copies by path and size."""
        standing = self.truth.standing
        folders = [entry for entry in os.scandir(self.lab.directory) if entry.is_dir(follow_symlinks=False)]
        there = {entry.stat().st_ino: Path(entry.path) for entry in folders}
        gone = [name for name in ("data", "media") if standing[name] is not None and not _stands(standing, name, there)]
        gone += [path for path, size in standing["copies"].items() if not _has(self.lab.directory / path, size)]
        if gone:
            return False, f"gone: {gone[0]}" + (f", and {len(gone) - 1} more" if gone[1:] else "")
        return True, "all that stood there at the call is there, or set aside"

    def _proven(self) -> Answer:
        if not self.restores:
            return False, "no restore has completed"
        newest = self.restores[0]
        if newest.plan.destination.kind == "files":
            return not any(check.refuses for check in newest.checks), f"{newest.run}: files alone"
        reached = newest.reached
        return reached is not None and reached.proven, f"{newest.run}: {reached.finding if reached else 'not told'}"

    def loss(self) -> tuple[int | None, float | None]:
        """How many acts of the users are gone, and how long they had worked on them: of what the first mark about
        loss holds them against."""
        likes = [each.like for each in self.truth.named.scenario.marks if isinstance(each, words.NothingLost)]
        if not likes:
            return None, None
        noted = {key: self.truth.facts.get(f"{likes[0]}.audit_trail.{key}") for key in ("rows", "last", "until")}
        try:
            with self.lab.server.connect(timeout=5) as connection:
                found = fingerprint(connection, "audit_trail", noted["last"])
        except (RepriseError, QueryFailed):
            return None, None
        lost = max(0, noted["rows"] - found["rows"]) if noted["rows"] is not None else None
        if not lost or noted["until"] is None or found["until"] is None:
            return lost, 0.0 if lost == 0 else None
        gap = datetime.fromisoformat(noted["until"]) - datetime.fromisoformat(found["until"])
        return lost, max(0.0, gap.total_seconds())


def _accepts(connection: Connection) -> Answer:
    row = connection.execute("SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')").fetchone()
    assert row is not None
    if row[0]:
        return False, "it is still in recovery"
    return row[1] == "off", "open for writes" if row[1] == "off" else "it is set to read-only"


def _is_true(connection: Connection, query: str, values: list[Any]) -> Answer:
    row = connection.execute(query, values).fetchone()
    if row is None:
        return False, "no row"
    return row[0] is True, "true" if row[0] is True else f"the answer is {row[0]}"


def _stands(standing: Mapping[str, Any], name: str, there: Mapping[int, Path]) -> bool:
    """Whether the folder of the call is one of those ``there``."""
    folder = there.get(standing[name])
    born = standing.get("births", {}).get(name)
    return folder is not None and (born is None or birth_of(folder) == born)


def _has(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False
