"""A drill is a folder ``drills/<UTC time>-<four letters>/`` under the state folder, for its owner alone (0700, files
0600).

``card.json`` says what may be said, ``truth.json`` what really happened and which scenario it is, ``record.jsonl`` what
was done and when, ``marks.json`` what the last check found, ``recovery.json`` what the recovery took and lost (for
`run.learnt`), ``result.json`` how it ended: without it the drill is open. ``swept`` says that nothing of it is left to
be ended.
``state/`` is the state folder of the operator's runs, ``preparing/`` that of the copies which the scenario took.
``keeper.lock`` says whether its keeper lives. While it is open only truth and marks know which scenario it is.
"""

import errno
import fcntl
import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from engine.drill.scenario import Named
from engine.records.coding import from_json, to_json
from engine.records.drills import Mark
from engine.records.errors import DamagedCopy, RepriseError
from engine.run.journal import Entry, now_text, read_entries
from engine.transfer.durable import put_file, sync_folder

CARD, TRUTH, RECORD, MARKS, RESULT = "card.json", "truth.json", "record.jsonl", "marks.json", "result.json"
KEEPER, STATE, PREPARING, SWEPT = "keeper.lock", "state", "preparing", "swept"
_NAME = re.compile(r"\d{8}T\d{6}Z-[a-z]{4}\Z")
_LETTERS = "abcdefghkmnpqrstwxyz"
T = TypeVar("T")


class Card(msgspec.Struct, frozen=True):
    """What may be said of a drill from its beginning on. ``hidden``: not which one it is. ``called_at``: when the
    operator was told, None while it is prepared."""

    lab: str
    hidden: bool
    briefing: str = ""
    limit_seconds: int = 0
    of: int = 0
    hints: int = 0
    called_at: datetime | None = None


class Truth(msgspec.Struct, frozen=True):
    """What nobody is told before the end: which scenario, what happened, what stood there at the call."""

    named: Named
    facts: dict[str, Any] = {}
    files: dict[str, dict[str, str]] = {}
    standing: dict[str, Any] = {}


class Marked(msgspec.Struct, frozen=True):
    """What a marking found. ``lost``: acts of the users that are gone, ``rpo_seconds`` how much of their time; None
    where the scenario does not tell."""

    at: datetime
    marks: tuple[Mark, ...]
    lost: int | None = None
    rpo_seconds: float | None = None

    @property
    def solved(self) -> bool:
        return all(mark.ok for mark in self.marks if mark.needed)

    @property
    def points(self) -> int:
        return sum(mark.points for mark in self.marks)


class Result(msgspec.Struct, frozen=True):
    """How a drill ended."""

    outcome: str
    ended_at: datetime
    why: str


def create(state: Path, card: Card) -> Path:
    """The folder of a new drill, whole or not at all. Raises RepriseError."""
    drills = state / "drills"
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{''.join(secrets.choice(_LETTERS) for _ in range(4))}"
    try:
        drills.mkdir(mode=0o700, parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=".new-", dir=drills))
        for inner in (STATE, PREPARING):
            (building / inner).mkdir(mode=0o700)
        write(building, CARD, card)
        note(building, "begun")
        building.rename(drills / name)
        sync_folder(drills)
    except OSError as error:
        raise RepriseError(
            f"no drill can be kept in {drills}", cause=str(error), remedy="name another state folder with --state"
        ) from None
    return drills / name


def folders(state: Path) -> list[Path]:
    """All drills, newest first."""
    with suppress(OSError):
        return sorted((path for path in (state / "drills").iterdir() if _NAME.match(path.name)), reverse=True)
    return []


def write(folder: Path, name: str, record: object) -> None:
    """One of a drill's files, whole or not at all. Raises OSError."""
    put_file(folder / name, to_json(record))


def read(folder: Path, name: str, kind: type[T]) -> T | None:
    """One of a drill's files; None where it is not there. Raises DamagedCopy."""
    try:
        return from_json((folder / name).read_bytes(), kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise DamagedCopy(f"{folder.name} is no whole drill", cause=f"{name}: {error}") from None


def read_card(folder: Path) -> Card:
    """Raises DamagedCopy where there is none."""
    card = read(folder, CARD, Card)
    if card is None:
        raise DamagedCopy(f"{folder.name} is no whole drill", cause=f"it has no {CARD}", remedy=f"move {folder} away")
    return card


def read_truth(folder: Path) -> Truth:
    """Raises DamagedCopy where there is none."""
    truth = read(folder, TRUTH, Truth)
    if truth is None:
        raise DamagedCopy(f"{folder.name} is no whole drill", cause=f"it has no {TRUTH}")
    return truth


def note(folder: Path, kind: str, content: Mapping[str, Any] | None = None) -> None:
    """One line of the record, on disk on return. Several processes write, one after the other. Raises OSError, and
    leaves no half line."""
    line = to_json({"at": now_text(), "kind": kind, **(content or {})}) + b"\n"
    handle = os.open(folder / RECORD, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        before = os.fstat(handle).st_size
        try:
            if os.write(handle, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / RECORD))
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, before)
            raise
    finally:
        os.close(handle)


def read_record(folder: Path) -> list[Entry]:
    """All lines of the record. Raises RepriseError."""
    return read_entries(folder / RECORD).entries


def solved_at(record: list[Entry]) -> datetime | None:
    """When the operator had solved it, by its record."""
    return next((datetime.fromisoformat(entry["at"]) for entry in record if entry["kind"] == "solved"), None)


def is_over(folder: Path) -> bool:
    return (folder / RESULT).exists()
