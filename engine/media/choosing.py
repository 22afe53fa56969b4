"""Which file is wanted, from which snapshot: thought out entry by entry, in one merge of what all of them hold.

Without a database that says what it refers to, everything is wanted that may have stood there at the moment (an upper
bound: what was deleted between two snapshots is in the earlier one alone). With one, only what it refers to.

A snapshot that starts at or after the moment has a file as it stood then, where the file's mtime is not later. Else the
one before has what is known last; that it may be older than the moment is told, not passed over. What is younger than
the moment in every snapshot came after it.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from engine.media.catalogue import Entry
from engine.media.choices import Choices, Lost, Wanted
from engine.media.references import Reference, References, key_of, path_of
from engine.media.sources import SnapshotFiles
from engine.records.copies import MediaSnapshot

OLDER = "may be older than the moment: it changed between two snapshots"
DELETED = "was deleted between two snapshots, before the moment or after it"
CLASH = "a file where another snapshot has a folder"
MOVED = "found under another name, by its content"
_COMMITTED = 20_000  # entries

Say = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Held:
    """A snapshot and its files."""

    snapshot: MediaSnapshot
    files: SnapshotFiles


class _Version(NamedTuple):
    number: int
    entry: Entry


def choose(
    choices: Choices,
    held: Sequence[Held],
    moment: datetime | None,
    references: References | None,
    only: bytes | None = None,
    say: Say = lambda entries: None,
) -> None:
    """Decide, from nothing: what was chosen before is forgotten. ``held`` are the snapshots of `snapshots_for`, by
    their start. ``only``: nothing but this path and what lies below it. ``say`` hears entries looked at.

    Raises OSError, DamagedCopy, Unreachable where a snapshot cannot be read: without it nothing can be decided.
    """
    choices.forget()
    _Chooser(choices, held, moment, references, only, say).choose()
    choices.commit()


class _Chooser:
    def __init__(
        self,
        choices: Choices,
        held: Sequence[Held],
        moment: datetime | None,
        references: References | None,
        only: bytes | None,
        say: Say,
    ) -> None:
        self.choices, self.held, self.references, self.only, self.say = choices, held, references, only, say
        self.moment_ns = _nanoseconds(moment) if moment is not None else None
        self.after = [moment is not None and each.snapshot.started_at >= moment for each in held]
        self.over = [moment is not None and not after and each.snapshot.stopped_at >= moment
                     for each, after in zip(held, self.after, strict=True)]  # fmt: skip
        self.last_file: Wanted | None = None

    def choose(self) -> None:
        with ExitStack() as opened:
            streams: list[Iterator[tuple[bytes, int, Entry | Reference]]] = [
                _keyed(number, opened.enter_context(each.files.entries())) for number, each in enumerate(self.held)
            ]
            if self.references is not None:
                streams.append((key_of(each.path), len(self.held), each) for each in self.references)
            merged = heapq.merge(*streams, key=lambda each: each[:2])
            for count, (key, found) in enumerate(groupby(merged, key=lambda each: each[0])):
                if not count % _COMMITTED:
                    self.choices.commit()
                if not count & 0xFF:
                    self.say(count)
                if self._asked(path_of(key)):
                    self._decide(path_of(key), [each[1:] for each in found])
        if self.references is not None:
            self._find_moved()
            for told in self.references.problems:
                self.choices.find(f"the database: {told}")
        if self.moment_ns is not None and not any(self.after) and not any(self.over):
            self.choices.find("no snapshot starts at or after the moment: what changed since the last one is not known")

    def _asked(self, path: bytes) -> bool:
        return self.only is None or path == self.only or path.startswith(self.only + b"/")

    def _decide(self, path: bytes, found: Iterable[tuple[int, Entry | Reference]]) -> None:
        versions: list[_Version] = []
        reference: Reference | None = None
        for number, each in found:
            if isinstance(each, Reference):
                reference = each
            else:
                versions.append(_Version(number, each))
        if self.references is None:
            chosen = self._as_of(path, versions)
            if chosen is not None:
                self._want(chosen)
            return
        if reference is not None:
            fitting = self._fitting(reference, versions)
            if fitting is not None:
                self._want(fitting)
            else:
                why = "no snapshot has it" if not versions else "no snapshot has it with this content"
                self.choices.lose(Lost(path, reference.sha256, reference.size, reference.rows, why))
            return
        folders = [each for each in versions if each.entry.kind == "d"]
        if folders:
            best = self._as_of(path, folders, quiet=True) or Wanted(folders[0].entry, folders[0].number, path)
            self.choices.want(best._replace(needed=False))
        if any(not self.after[each.number] for each in versions):
            self.choices.ask("INSERT OR IGNORE INTO earlier VALUES (?)", key_of(path))

    def _as_of(self, path: bytes, versions: Sequence[_Version], quiet: bool = False) -> Wanted | None:
        """The version that stood there at the moment, or may have; None where it came after."""
        if self.moment_ns is None:
            return Wanted(versions[-1].entry, versions[-1].number, path)
        after = [each for each in versions if self.after[each.number]]
        before = [
            each for each in versions
            if not self.after[each.number]
            and (each.entry.mtime_ns <= self.moment_ns or not self.over[each.number] or each.entry.kind == "d")
        ]  # fmt: skip
        still = after[0] if after and after[0].entry.mtime_ns <= self.moment_ns else None
        if still is not None and not (before and _put_there(before[-1], still, self.held)):
            return Wanted(still.entry, still.number, path)
        if not before:
            if still is not None:
                return Wanted(still.entry, still.number, path)
            return None
        last = before[-1]
        if last.entry.kind == "d":
            return Wanted(last.entry, last.number, path)
        changed = len(versions) > len(before) and not (after and _same(after[0].entry, last.entry))
        gone = not after and any(self.after)
        if not quiet and changed:
            self.choices.find(OLDER, path)
        elif not quiet and gone:
            self.choices.find(DELETED, path)
        return Wanted(last.entry, last.number, path, sure=not (changed or gone))

    def _fitting(self, reference: Reference, versions: Sequence[_Version]) -> Wanted | None:
        """The version that the database means."""
        files = [each for each in versions if each.entry.kind == "f" and _fits(each.entry, reference)]
        proven = [each for each in files if each.entry.sha256 is not None and reference.sha256 is not None]
        usable = proven or files
        if not usable:
            return None
        chosen = self._as_of(reference.path, usable, quiet=bool(proven))
        if chosen is None:
            chosen = Wanted(usable[0].entry, usable[0].number, reference.path, sure=bool(proven))
        entry = chosen.entry._replace(sha256=chosen.entry.sha256 or reference.sha256)
        return chosen._replace(entry=entry, sure=chosen.sure or bool(proven))

    def _want(self, wanted: Wanted) -> None:
        """Want it, unless it clashes with what is wanted already: a file cannot stand where a folder must."""
        file = self.last_file
        if file is not None and wanted.path.startswith(file.path + b"/"):
            if file.sure and not wanted.sure:
                self.choices.find(CLASH, wanted.path)
                return
            self.choices.find(CLASH, file.path)
            self.choices.unwant(file.path)
            self.last_file = None
        self.choices.want(wanted)
        if wanted.entry.kind != "d":
            self.last_file = wanted

    def _find_moved(self) -> None:
        """What no snapshot has under its name: by its content, under any name."""
        sought = self.choices.number("SELECT count(*) FROM lost WHERE sha256 IS NOT NULL")
        if not sought:
            return
        self.choices.ask("CREATE INDEX IF NOT EXISTS lost_by_content ON lost (sha256)")
        for number, each in enumerate(self.held):
            with each.files.entries() as entries:
                for count, entry in enumerate(entries):
                    if not count & 0xFF:
                        self.say(count)
                    if entry.kind == "f" and entry.sha256 is not None:
                        self._give_name(number, entry)

    def _give_name(self, number: int, entry: Entry) -> None:
        rows = list(self.choices.ask("SELECT key FROM lost WHERE sha256 = ?", entry.sha256))
        for (key,) in rows:
            path = path_of(key)
            self.choices.want(Wanted(entry._replace(path=path), number, entry.path))
            self.choices.ask("DELETE FROM lost WHERE key = ?", key)
            self.choices.find(MOVED, path)


def _keyed(number: int, entries: Iterator[Entry]) -> Iterator[tuple[bytes, int, Entry | Reference]]:
    return ((key_of(entry.path), number, entry) for entry in entries)


def _fits(entry: Entry, reference: Reference) -> bool:
    if reference.size is not None and entry.size != reference.size:
        return False
    return None in (reference.sha256, entry.sha256) or reference.sha256 == entry.sha256


def _same(one: Entry, other: Entry) -> bool:
    if one.kind != other.kind or one.size != other.size or one.target != other.target:
        return False
    if one.sha256 is not None and other.sha256 is not None:
        return one.sha256 == other.sha256
    return one.mtime_ns == other.mtime_ns


def _put_there(last: _Version, still: _Version, held: Sequence[Held]) -> bool:
    """Whether a file with an old mtime took the place of another one after the snapshot before: its mtime then says
    nothing about when it came."""
    stopped = _nanoseconds(held[last.number].snapshot.stopped_at)
    return still.entry.kind == "f" and still.entry.mtime_ns <= stopped and not _same(last.entry, still.entry)


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1000
