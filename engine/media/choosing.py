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
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from engine.media.catalogue import Entry, key_of, path_of
from engine.media.choices import Choices, Lost, Wanted
from engine.media.elsewhere import find_in_snapshots
from engine.media.references import Reference, References
from engine.media.sources import Held
from engine.records.copies import MediaSnapshot

# What is told of files, after "files that".
OLDER = "may be older than the moment (changed between two snapshots)"
DELETED = "may have been deleted before the moment (between two snapshots)"
CAME = "may have come after the moment (with an older time, between two snapshots)"
CHANGED = "may be younger than the moment (changed while a snapshot was taken)"
DIFFER = "differ in snapshots that overlap (the newest was taken)"
CLASH = "are a folder in another snapshot, or lie in one that is a file there (left out)"
IN_TWO_WAYS = "the database refers to it as a file and as a folder"  # why it is lost
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Say = Callable[[int], None]


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
) -> bool:
    """Decide, from nothing: what was chosen before is forgotten. ``held`` are the snapshots of `snapshots_for`, by
    their start, and behind them those in reserve. ``only``: nothing but this path and what lies below it. ``say`` hears
    entries looked at. Returns whether the snapshots hold anything at all.

    Raises OSError, DamagedCopy, Unreachable where a snapshot cannot be read: without it nothing can be decided.
    """
    choices.forget()
    chooser = _Chooser(choices, held, moment, references, only, say)
    chooser.choose()
    choices.commit()
    return chooser.found_any


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
        self.choices, self.references, self.only, self.say = choices, references, only, say
        self.all_held, self.held = held, [each for each in held if not each.in_reserve]
        self.moment_ns = nanoseconds(moment) if moment is not None else None
        # An undated one may have been taken at any time: as if it overlapped the moment.
        self.after = [
            moment is not None and each.snapshot.dated and each.snapshot.started_at >= moment for each in self.held
        ]
        self.over = [
            moment is not None and not after and (each.snapshot.stopped_at >= moment or not each.snapshot.dated)
            for each, after in zip(self.held, self.after, strict=True)
        ]
        self.last_file: Wanted | None = None
        self.found_any = False

    def choose(self) -> None:
        with ExitStack() as opened:
            streams: list[Iterator[tuple[bytes, int, Entry | Reference]]] = [
                self._keyed(number, opened.enter_context(each.files.entries())) for number, each in enumerate(self.held)
            ]
            if self.references is not None:
                streams.append((key_of(each.path), len(self.held), each) for each in self.references)
            merged = heapq.merge(*streams)  # by key and number: no two are alike in both
            for count, (key, found) in enumerate(groupby(merged, key=itemgetter(0))):
                if not count & 0xFF:
                    self.say(count)
                path = path_of(key)
                if self.only is None or self._asked(path):
                    self._decide(path, found)
        if self.references is not None:
            find_in_snapshots(self.choices, self.all_held, self.say)
            for told in self.references.problems:
                self.choices.find(f"the database: {told}")
        if self.moment_ns is not None:
            self._tell_what_is_not_known()

    def _tell_what_is_not_known(self) -> None:
        for each in self.held:
            if not each.snapshot.dated:
                told = "nothing says when it was taken: its files may be older than the moment, or younger"
                self.choices.find(f"snapshot {each.snapshot.id}: {told}")
        if all(self.after):
            self.choices.find("no snapshot began before the moment: what was deleted or moved since is not known")
        if not any(self.after):
            self.choices.find("no snapshot starts at or after the moment: what changed since the last one is not known")

    def _keyed(self, number: int, entries: Iterator[Entry]) -> Iterator[tuple[bytes, int, Entry | Reference]]:
        for entry in entries:
            self.found_any = True
            yield entry.path.replace(b"/", b"\0"), number, entry

    def _asked(self, path: bytes) -> bool:
        return self.only is None or path == self.only or path.startswith(self.only + b"/")

    def _decide(self, path: bytes, found: Iterable[tuple[bytes, int, Entry | Reference]]) -> None:
        """``found``: what the snapshots have at this path, and the database's reference to it."""
        versions: list[_Version] = []
        reference: Reference | None = None
        for _, number, each in found:
            if isinstance(each, Reference):
                reference = each
            else:
                versions.append(_Version(number, each))
        if self.references is None:
            chosen = self._as_of(path, versions)
            if chosen is None and (folders := [each for each in versions if each.entry.kind == "d"]):
                chosen = self._folder(path, folders)
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
            self._want(self._folder(path, folders))
        if any(not self.after[each.number] or self._is_old(each) for each in versions):
            self.choices.ask("INSERT OR IGNORE INTO earlier VALUES (?)", key_of(path))

    def _folder(self, path: bytes, folders: Sequence[_Version]) -> Wanted:
        """A folder's attributes, for what is wanted in it."""
        best = self._as_of(path, folders, quiet=True) or Wanted(folders[0].entry, folders[0].number, path)
        return best._replace(needed=False)

    def _is_old(self, version: _Version) -> bool:
        return self.moment_ns is not None and version.entry.mtime_ns <= self.moment_ns

    def _as_of(self, path: bytes, versions: Sequence[_Version], quiet: bool = False) -> Wanted | None:
        """The version that stood there at the moment, or may have; None where it came after."""
        if self.moment_ns is None:
            return Wanted(versions[-1].entry, versions[-1].number, path)
        after = next((each for each in versions if self.after[each.number]), None)
        still = after if after is not None and self._is_old(after) else None
        before: list[_Version] = []
        if still is None or len(versions) > 1:
            before = [
                each for each in versions
                if not self.after[each.number]
                and (self._is_old(each) or not self.over[each.number] or each.entry.kind == "d")
            ]  # fmt: skip
            # A folder proves nothing: where something in it is wanted, that decides.
            before = [each for each in before if each.entry.kind != "d"] or before
        last = self._last(before) if before else None
        if still is not None and not (last is not None and self._put_there(last, still)):
            why = self._doubt_of_still(last, still)
            if why is not None and not quiet:
                self.choices.find(why, path)
            return Wanted(still.entry, still.number, path, sure=why is None)
        if last is None:
            return None
        doubt = self._doubt(last, before, versions)
        if doubt is not None and not quiet:
            self.choices.find(doubt, path)
        return Wanted(last.entry, last.number, path, sure=doubt is None)

    def _last(self, before: Sequence[_Version]) -> _Version:
        """What is known last: of snapshots one after the other the later, of those that overlap the newest version."""
        last = before[0]
        for each in before[1:]:
            later = self._snapshot(each).started_at >= self._snapshot(last).stopped_at
            if later or each.entry.mtime_ns >= last.entry.mtime_ns:
                last = each
        return last

    def _doubt(self, last: _Version, before: Sequence[_Version], versions: Sequence[_Version]) -> str | None:
        """Why it may not be what stood there at the moment."""
        if last.entry.kind == "d":
            others = any(each.entry.kind != "d" for each in versions if each.number > last.number)
            return OLDER if others else None
        kept = {each.number for each in before}
        if any(each.number not in kept and not _same(each.entry, last.entry) for each in versions):
            return OLDER
        seen = {each.number for each in versions}
        began = self._snapshot(last).started_at
        if any(n not in seen and each.snapshot.stopped_at > began for n, each in enumerate(self.held)):
            return DELETED
        for each in before:
            apart = self._snapshot(last).started_at >= self._snapshot(each).stopped_at
            if not apart and not _same(each.entry, last.entry):
                return DIFFER
        return None

    def _put_there(self, last: _Version, still: _Version) -> bool:
        """Whether a file with an old mtime took the place of another one after the snapshot before: its mtime then says
        nothing about when it came."""
        if still.entry.kind == "d" or _same(last.entry, still.entry):
            return False
        began = nanoseconds(self._snapshot(last).started_at)
        return still.entry.mtime_ns <= began or (last.entry.kind != "d" and still.entry.mtime_ns < last.entry.mtime_ns)

    def _doubt_of_still(self, last: _Version | None, still: _Version) -> str | None:
        """Why what stood there after the moment, with an older mtime, may have come after it all the same: a snapshot
        before could have had it, and has another one or none."""
        if still.entry.kind == "d" or (last is not None and _same(last.entry, still.entry)):
            return None
        for each, after in zip(self.held, self.after, strict=True):
            if not after and still.entry.mtime_ns <= nanoseconds(each.snapshot.stopped_at):
                return CAME if last is None else CHANGED
        return None

    def _snapshot(self, version: _Version) -> MediaSnapshot:
        return self.held[version.number].snapshot

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
        return chosen._replace(entry=entry, sure=chosen.sure or bool(proven), rows=reference.rows)

    def _want(self, wanted: Wanted) -> None:
        """Want it, unless it clashes with what is wanted already: a file cannot stand where a folder must."""
        file = self.last_file
        if file is not None and wanted.path.startswith(file.path + b"/"):
            if not wanted.needed:
                return
            if file.sure and not wanted.sure:
                self._leave_out(wanted)
                return
            self._leave_out(file)
            self.choices.unwant(file.path)
            self.last_file = None
        self.choices.want(wanted)
        if wanted.entry.kind != "d":
            self.last_file = wanted

    def _leave_out(self, wanted: Wanted) -> None:
        self.choices.find(CLASH, wanted.path)
        if wanted.rows:
            e = wanted.entry
            self.choices.lose(Lost(wanted.path, e.sha256, e.size, wanted.rows, IN_TWO_WAYS))


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


def nanoseconds(at: datetime) -> int:
    """Since 1970, as stat(2) counts; exact."""
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000
