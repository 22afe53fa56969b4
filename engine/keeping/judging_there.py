"""What the policy lets go at a second place.

It is judged by the rules of the first, but by what stands there alone: what the first place has, or lost, makes nothing
there superfluous. Beyond the rules these stay: whatever this site has not sent, or knows too little of; whatever the
first place keeps; all of a kind of which the first place keeps no usable copy, for the second may hold the only one;
all WAL, while among the base backups there lies anything that nobody here knows.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import TypeVar, cast

from msgspec import Struct, field
from msgspec.structs import replace

from engine.keeping.expiring import coming_back, leaving_wal
from engine.records.copies import BaseBackup, Dump, MediaSnapshot, Timeline, WalFile
from engine.records.copying import names_beside
from engine.records.errors import RepriseError
from engine.records.keeping import Leaving, Verdict
from engine.records.lsn import SegmentName, parse_segment
from engine.recovery.listed import ListedWal
from engine.recovery.retention import judge_wal
from engine.remote.places import RemotePlace, read_place
from engine.remote.sent import SEGMENT, Memory, Sent, SentCopy, SentKind
from engine.remote.standing import (
    DOOMED,
    DRAFT,
    SUFFIX,
    FileThere,
    Standing,
    list_there,
    measure,
    remove_files,
    remove_hidden,
    take_away,
)
from engine.transfer.naming import shown

_FOLDERS: Mapping[SentKind, str] = {"base": "base", "dump": "dumps", "media": ""}
_WAL = "wal"
_NOBODYS = ("lost+found",)

Copy = TypeVar("Copy", BaseBackup, Dump, MediaSnapshot)
Rules = Callable[[Sequence[Copy]], list[Verdict]]


class SecondPlace(Struct):
    """One second place as it stands, and what is found of it, kind by kind."""

    address: str
    place: RemotePlace
    memory: Memory
    sent: dict[tuple[SentKind, str], Sent]
    standing: Mapping[str, Mapping[str, Standing]]  # by folder, then by name (in the archive: by path)
    leaving: list[Leaving] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    hidden: dict[str, list[str]] = field(default_factory=dict)  # by folder: what is half sent or half deleted
    orphans: list[tuple[SentKind, tuple[str, ...]]] = field(default_factory=list)  # half deleted: all parts by name

    def judge(
        self, kind: SentKind, here: Sequence[Copy], kept: Collection[str], rules: Rules[Copy], *, safe: bool
    ) -> list[Copy]:
        """What leaves of one kind. ``here``: all that the first place has; ``kept``: ids of what it keeps; ``safe``:
        whether that is worth anything. ``rules`` judge what stands there: a copy's id is its name on disk then. Returns
        the copies that stay, none where nothing was judged."""
        there = self.standing.get(_FOLDERS[kind], {})
        known = [each.copy for (of, name), each in self.sent.items() if of == kind and _is_folder(there.get(name))]
        if not safe:
            if known:
                why = f"the first place keeps no usable copy of the kind {kind}"
                self.findings.append(f"{self.address}: {why}: all of them stay there")
            return []
        staying_here = {copy.path.name for copy in here if copy.id in kept}
        self._sweep(kind, {copy.path.name for copy in here} - staying_here, staying_here, there)
        copies = cast("list[Copy]", [copy for copy in known if copy is not None])
        staying: list[Copy] = []
        gone: list[Verdict] = []
        for copy, verdict in zip(copies, rules(copies), strict=True):
            if not verdict.keep and copy.id in staying_here:
                verdict = replace(verdict, keep=True, why="the first place keeps it")
            verdict = replace(verdict, place=self.address)
            self.verdicts.append(verdict)
            if verdict.keep:
                staying.append(copy)
            else:
                gone.append(verdict)
        self._leave(kind, gone, there)
        return staying

    def judge_wal(
        self, staying: Sequence[BaseBackup], here: Collection[SegmentName], timelines: Mapping[int, Timeline],
        segment_size: int, now: datetime,
    ) -> None:  # fmt: skip
        """What leaves of the archived WAL there: what none of the base backups that stay there needs. ``here``: the
        segments that stay in the first place's archive."""
        unknown = self.unknown("base")
        if unknown:
            told = f"{shown(unknown[0])} lies among the base backups and is not known here"
            self.findings.append(f"{self.address}: {told}: no WAL leaves")
            return
        sent = self.memory.wal()
        files = [
            WalFile(path, segment.timeline, segment.number, None, self.standing[_WAL][path].size, 0, 0)
            for path, segment in self.segments(segment_size)
            if path in sent and segment not in here
        ]
        for each in leaving_wal(judge_wal(files, staying, timelines, segment_size, now)):
            self.leaving.append(replace(each, verdict=replace(each.verdict, place=self.address)))

    def unknown(self, kind: SentKind) -> list[str]:
        """What lies among the copies of a kind and was not sent from here, or nobody knows what it is."""
        known = {name for (of, name), each in self.sent.items() if of == kind and each.copy is not None}
        beside = {part for of, name in self.sent if of == kind for part in names_beside(kind, name)}
        there = self.standing.get(_FOLDERS[kind], {})
        return sorted(name for name in there if not name.startswith(".") and name not in {*known, *beside, *_NOBODYS})

    def segments(self, segment_size: int) -> Iterable[tuple[str, SegmentName]]:
        """The archived segments there, by path in the archive."""
        for path, what in self.standing.get(_WAL, {}).items():
            found = SEGMENT.match(path) if what.kind == "-" else None
            if found is not None and not any(part.startswith(".") for part in path.split("/")):
                try:
                    yield path, parse_segment(found[1] + found[2], segment_size)
                except ValueError:  # of another size
                    continue

    def listed(self, timelines: Mapping[int, Timeline], segment_size: int) -> ListedWal:
        """The archive there, as far as its names tell."""
        return ListedWal((segment for _, segment in self.segments(segment_size)), timelines, segment_size)

    def _sweep(
        self, kind: SentKind, going: Collection[str], staying: Collection[str], there: Mapping[str, Standing]
    ) -> None:
        """What interrupted pushes and expiries left of copies that this site has sent. Half a copy stays where the copy
        itself neither stands there nor leaves the first place by a rule now: it may be all that is left of it."""
        hidden = self.hidden.setdefault(_FOLDERS[kind], [])
        for name in (name for of, name in self.sent if of == kind):
            parts = (name, *names_beside(kind, name))
            doomed = [DOOMED + part for part in parts if DOOMED + part in there]
            drafts = [each for each in there if fnmatchcase(each, f"{DRAFT}{escape(name)}~{SUFFIX}")]  # not of NAME~x
            if name in there:
                hidden += [*doomed, *drafts]
            elif name in going or doomed:
                hidden += drafts
                if doomed or any(part in there for part in parts):
                    self.orphans.append((kind, parts))
            elif name not in staying and drafts:
                self.findings.append(f"{self.address}: {drafts[0]} is half a copy of which there is no whole one")

    def _leave(self, kind: SentKind, gone: Sequence[Verdict], there: Mapping[str, Standing]) -> None:
        folder, seen, sizes = _FOLDERS[kind], Counter[object](), dict[str, list[FileThere]]()
        parts = {each.id: [each.id, *(part for part in names_beside(kind, each.id) if part in there)] for each in gone}
        if gone:
            try:
                sizes = measure(self.place, folder, [part for some in parts.values() for part in some])
            except RepriseError as error:
                self.findings.append(f"{self.address}: how much comes back there is not known: {error.message}")
        for verdict in gone:
            files = (file for part in parts[verdict.id] for file in sizes.get(part, ()))
            paths = tuple(Path(folder, part) for part in parts[verdict.id])
            self.leaving.append(Leaving(verdict, paths, coming_back(files, seen)))


def learn(memory: Memory, here: Mapping[SentKind, Sequence[SentCopy]]) -> None:
    """Remember what the copies are that were sent there, for the time when they are not here any more; but not of one
    that was damaged here since. Raises RepriseError."""
    known = {kind: _by_their_names(copies) for kind, copies in here.items()}
    for (kind, name), sent in memory.copies().items():
        current = known.get(kind, {}).get(name)
        if current is not None and sent.copy != current and (current.usable or sent.copy is None):
            memory.keep(Sent(kind, name, current))


def second_place(memory: Memory, address: str, repository: str, kinds: Collection[SentKind]) -> SecondPlace | None:
    """The second place of a repository as it stands now, by one listing; None where nothing was sent there from it.
    What another repository sent to the same place is not known to this one. Raises Unreachable, RepriseError where it
    cannot be listed."""
    known = memory.copies().items()
    sent = {key: each for key, each in known if each.copy is None or each.copy.repository == repository}
    if not sent:
        return None
    place = read_place(address)
    standing: dict[str, dict[str, Standing]] = {}
    folders = [_FOLDERS[kind] for kind in kinds]
    for path, what in list_there(place, folders, [_WAL] if "base" in kinds else []).items():
        folder, slash, name = path.partition("/")
        if folders == [""]:
            standing.setdefault("", {})[path] = what
        elif slash:
            standing.setdefault(folder, {})[name] = what
    return SecondPlace(address, place, memory, sent, standing)


def clear_there(second: SecondPlace) -> None:
    """Delete what leaves, and what was begun before. Raises Unreachable, RepriseError."""
    for folder, names in second.hidden.items():
        remove_hidden(second.place, folder, names)
    for each in second.leaving:
        if each.verdict.kind == "wal":
            remove_files(second.place, _WAL, [path.as_posix() for path in each.paths])
            continue
        folder, kind = each.paths[0].parent.as_posix(), each.verdict.kind
        take_away(second.place, "" if folder == "." else folder, *(path.name for path in each.paths))
        second.memory.forget(kind, each.paths[0].name)
    for kind, parts in second.orphans:
        take_away(second.place, _FOLDERS[kind], *parts)
        second.memory.forget(kind, parts[0])


def _is_folder(what: Standing | None) -> bool:
    return what is not None and what.kind == "d"


def _by_their_names(copies: Sequence[SentCopy]) -> dict[str, SentCopy]:
    """Copies whose ids, and whose parents', are their names on disk: what a site calls them may change with its other
    repositories."""
    names = {copy.id: copy.path.name for copy in copies}
    return {
        copy.path.name: replace(copy, id=copy.path.name, parent=names.get(copy.parent or "", copy.parent))
        if isinstance(copy, BaseBackup)
        else replace(copy, id=copy.path.name)
        for copy in copies
    }
