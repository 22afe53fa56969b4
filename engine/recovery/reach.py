"""What the copies of a site reach: which backups stand on which line, and how far their WAL goes.

A ``Reach`` is one state of catalog and index, thought through once; windows, targets and the screen's key presses ask
it. Its answers are cached, so that each costs a few look-ups however much WAL there is.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from engine.records.copies import BaseBackup
from engine.records.history import Piece, TransactionEnd, WalHistory
from engine.records.lsn import Lsn, skip_page_header
from engine.recovery.lines import END_OF_WAL, Span, Stretch, holds_backup, line_of, stretch_holding, unbroken


class Footing(Struct, frozen=True):
    """A usable backup on a line, with its chain (oldest first) and the unbroken WAL from its start, which reaches at
    least ``consistent``: the first gate at which the backup is consistent."""

    chain: tuple[BaseBackup, ...]
    consistent: Lsn
    stretch: Stretch
    whole: Stretch  # the stretch with what lies before the backup's start

    @property
    def backup(self) -> BaseBackup:
        return self.chain[-1]

    @property
    def doubt(self) -> str | None:
        """What is wrong with a backup of the chain, as far as is known."""
        return next((f"{backup.id}: {backup.doubt}" for backup in self.chain if backup.doubt), None)

    def reaches(self, gate: Lsn) -> bool:
        return self.consistent <= gate <= self.stretch.end


class Reach:
    """The copies of one site, as of one reading."""

    def __init__(self, backups: Iterable[BaseBackup], histories: Mapping[str, WalHistory]) -> None:
        self.backups = tuple(backups)
        self.histories = histories
        self._by_id = {backup.id: backup for backup in self.backups}
        self._lines: dict[tuple[str, int], tuple[Span, ...]] = {}
        self._unbroken: dict[tuple[str, int], tuple[Stretch, ...]] = {}
        self._footings: dict[tuple[str, int], tuple[Footing, ...]] = {}
        self._commits: dict[tuple[str, int], tuple[int, ...]] = {}

    def backup(self, id: str) -> BaseBackup | None:
        return self._by_id.get(id)

    def chain(self, backup: BaseBackup) -> tuple[BaseBackup, ...]:
        """The backups to be copied, oldest first. Raises ValueError with the reason where it is not whole."""
        chain: list[BaseBackup] = []
        member: BaseBackup | None = backup
        while member is not None:
            if not member.usable:
                whose = "" if member is backup else f"its parent {member.id} is unusable: "
                raise ValueError(whose + (member.reason or "unusable"))
            if member in chain:
                raise ValueError(f"its chain of parents goes in a circle at {member.id}")
            chain.append(member)
            if not member.incremental:
                break
            if member.parent is None or member.parent not in self._by_id:
                raise ValueError(f"the backup that {member.id} builds on is missing: {member.parent or 'unknown'}")
            member = self._by_id[member.parent]
        return tuple(reversed(chain))

    def line(self, repository: str, timeline: int) -> tuple[Span, ...]:
        key = repository, timeline
        if key not in self._lines:
            self._lines[key] = line_of(self.histories[repository].timelines(), timeline)
        return self._lines[key]

    def unbroken(self, repository: str, timeline: int) -> tuple[Stretch, ...]:
        key = repository, timeline
        if key not in self._unbroken:
            self._unbroken[key] = unbroken(self.histories[repository], timeline)
        return self._unbroken[key]

    def commits_after(self, repository: str, timeline: int, gate: Lsn) -> int:
        """How many commits of a line the repository holds behind a gate, beyond breaks too."""
        key = repository, timeline
        history, stretches = self.histories[repository], self.unbroken(repository, timeline)
        if key not in self._commits:
            self._commits[key] = tuple(count(history, stretch.pieces) for stretch in stretches)
        place = bisect_right(stretches, gate, key=lambda each: each.low) - 1
        here = count(history, stretches[place].cut(gate, END_OF_WAL)) if place >= 0 else 0
        return here + sum(self._commits[key][place + 1 :])

    def timelines(self, repository: str) -> tuple[int, ...]:
        """All timelines of a repository that a backup stands on, oldest first."""
        named = {backup.timeline for backup in self.backups if backup.repository == repository}
        known = {timeline for timeline in named if timeline is not None} | set(self.histories[repository].timelines())
        return tuple(timeline for timeline in sorted(known) if self.on_line(repository, timeline))

    def on_line(self, repository: str, timeline: int) -> tuple[BaseBackup, ...]:
        """The backups, usable or not, that stand on a timeline's line."""
        line = self.line(repository, timeline)
        return tuple(
            backup
            for backup in self.backups
            if backup.repository == repository
            and backup.timeline is not None
            and backup.start_lsn is not None
            and backup.stop_lsn is not None
            and holds_backup(line, backup.timeline, backup.start_lsn, backup.stop_lsn)
        )

    def why_no_footing(self, repository: str, timeline: int, backup: BaseBackup) -> str | None:
        """Why a backup cannot be restored on this timeline at all; None where it can."""
        try:
            self.chain(backup)
        except ValueError as reason:
            return str(reason)
        if backup.repository != repository or backup not in self.on_line(repository, timeline):
            return f"timeline {timeline} does not descend from it"
        found = self._stand(repository, timeline, backup)
        return found if isinstance(found, str) else None

    def _stand(self, repository: str, timeline: int, backup: BaseBackup) -> Footing | str:
        """A backup of this line as a footing, or why it is none."""
        assert backup.start_lsn is not None and backup.stop_lsn is not None
        try:
            chain = self.chain(backup)
        except ValueError as reason:
            return str(reason)
        whole = stretch_holding(self.unbroken(repository, timeline), backup.start_lsn)
        behind = whole.since(backup.start_lsn) if whole is not None else None
        if whole is None or behind is None:
            return "the archive has no WAL from its start on"
        consistent = skip_page_header(backup.stop_lsn, whole.segment_size)
        if consistent > whole.end:
            return f"the WAL ends before it is consistent: {whole.why_it_ends}"
        return Footing(chain, consistent, behind, whole)

    def footings(self, repository: str, timeline: int) -> tuple[Footing, ...]:
        """The usable backups of a line whose WAL makes them consistent, by the LSN at which they are."""
        key = repository, timeline
        if key not in self._footings:
            stand = [self._stand(repository, timeline, backup) for backup in self.on_line(repository, timeline)]
            found = [footing for footing in stand if isinstance(footing, Footing)]
            self._footings[key] = tuple(sorted(found, key=lambda footing: (footing.consistent, footing.backup.id)))
        return self._footings[key]

    def newest_footing(self, repository: str, timeline: int, gate: Lsn, *, backup: str | None = None) -> Footing | None:
        """The newest backup from which the gate can be reached; one that is in doubt where no other reaches it."""
        footings, doubted = self.footings(repository, timeline), None
        place = bisect_right([footing.consistent for footing in footings], gate)
        for footing in reversed(footings[:place]):
            if footing.reaches(gate) and backup in (None, footing.backup.id):
                if footing.doubt is None:
                    return footing
                doubted = doubted or footing
        return doubted

    def repository_of(self, timeline: int, gate: Lsn) -> str | None:
        """The repository to ask about a gate: one with a backup that reaches it, else any that knows the timeline."""
        knowing = [name for name, history in self.histories.items() if timeline in history.timelines()]
        reaching = (name for name in knowing if self.newest_footing(name, timeline, gate) is not None)
        return next(reaching, next(iter(knowing), None))


def first_end(
    history: WalHistory, pieces: Sequence[Piece], *, after: datetime | None = None, inclusive: bool = False
) -> TransactionEnd | None:
    """WalHistory.first_end over several pieces."""
    for piece in pieces:
        if (found := history.first_end(piece, after=after, inclusive=inclusive)) is not None:
            return found
    return None


def last_end(history: WalHistory, pieces: Sequence[Piece]) -> TransactionEnd | None:
    """WalHistory.last_end over several pieces."""
    for piece in reversed(pieces):
        if (found := history.last_end(piece)) is not None:
            return found
    return None


def nearest(
    history: WalHistory, pieces: Sequence[Piece], kinds: Sequence[str], *, backwards: bool = False
) -> TransactionEnd | None:
    """The first (or last) transaction end of these kinds; asks the index for a few at a time."""
    for piece in reversed(pieces) if backwards else pieces:
        left, limit = piece, 4
        while left.low < left.high:
            found = history.ends(left, limit=limit, backwards=backwards)
            for end in found:
                if end.kind in kinds:
                    return end
            if len(found) < limit:
                break
            edge = found[-1].lsn
            left = left._replace(high=edge) if backwards else left._replace(low=edge + 1)
            limit = 256
    return None


def count(history: WalHistory, pieces: Sequence[Piece]) -> int:
    """How many commits the pieces hold."""
    return sum(history.count(piece) for piece in pieces)
