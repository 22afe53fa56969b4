"""What a correct Reprise answers for the model archive, by brute force: record by record."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.records.copies import BaseBackup
from engine.records.lsn import Lsn, skip_page_header
from tests.recovery.model import ENDS, SIZE, TIMED, Archive, Rec


def consistent(backup: BaseBackup) -> Lsn:
    """The first gate at which a backup is consistent."""
    return skip_page_header(backup.stop_lsn or 0, SIZE)


@dataclass(frozen=True)
class Answer:
    """Where replay stops, from which backup, and the last transaction end that is kept."""

    gate: Lsn
    backup: str
    kept: tuple[int, Lsn] | None


class Reference:
    """What a correct Reprise answers, by brute force."""

    def __init__(self, archive: Archive, backups: list[BaseBackup]) -> None:
        self.archive = archive
        self.backups = backups

    def whole(self, backup: BaseBackup) -> bool:
        by_id = {each.id: each for each in self.backups}
        seen = set()
        while True:
            if not backup.usable or backup.id in seen:
                return False
            seen.add(backup.id)
            if not backup.incremental:
                return True
            if backup.parent not in by_id:
                return False
            backup = by_id[backup.parent]

    def standing(self, timeline: int) -> list[tuple[BaseBackup, list[Rec]]]:
        """Usable backups of a line with what is replayed from them, if that makes them consistent; newest first."""
        found = []
        members = [member for member, _ in self.archive.line(timeline)]
        for backup in self.backups:
            assert backup.start_lsn is not None and backup.stop_lsn is not None and backup.timeline is not None
            if backup.timeline not in members or not self.whole(backup):
                continue
            if backup.stop_lsn > self.archive.high_of(timeline, backup.timeline):
                continue
            replayed = self.archive.replay(timeline, backup.start_lsn)
            if replayed and replayed[-1].end_lsn >= consistent(backup):
                found.append((backup, replayed))
        return sorted(found, key=lambda each: (each[0].stop_lsn or 0, each[0].id), reverse=True)

    def answer(self, timeline: int, backup: BaseBackup, gate: Lsn) -> Answer:
        kept = [each for each in self.archive.before(timeline, gate) if each.kind in ENDS]
        return Answer(gate, backup.id, (kept[0].timeline, kept[0].lsn) if kept else None)

    def at_gate(self, timeline: int, gate: Lsn) -> Answer | None:
        for backup, replayed in self.standing(timeline):
            if consistent(backup) <= gate <= replayed[-1].end_lsn:
                return self.answer(timeline, backup, gate)
        return None

    def time(self, timeline: int, at: datetime, exclusive: bool) -> Answer | None:
        def late(record: Rec) -> bool:
            return record.kind in TIMED and (record.at >= at if exclusive else record.at > at)

        for backup, replayed in self.standing(timeline):
            assert backup.start_lsn is not None and backup.stop_lsn is not None and backup.started_at is not None
            stop = next((each for each in replayed if late(each)), None)
            timed = self.archive.before(timeline, stop.lsn if stop else 1 << 64)
            if stop is None:
                timed = self.archive.before(timeline, replayed[-1].end_lsn)
            timed = [each for each in timed if each.kind in TIMED]
            if timed and late(timed[0]):
                continue  # the backup holds it already
            if not timed and backup.started_at + timedelta(seconds=1) > at:
                continue
            if stop is not None:
                if stop.lsn < consistent(backup):
                    continue
                return self.answer(timeline, backup, stop.lsn)
            ends = [each for each in replayed if each.kind in ENDS]
            if not ends or at > ends[-1].at:
                return None
            return self.answer(timeline, backup, max(ends[-1].end_lsn, consistent(backup)))
        return None

    def lsn(self, timeline: int, lsn: Lsn, exclusive: bool) -> Answer | None:
        for record in self.archive.records_of(timeline):
            if record.lsn == lsn and self.archive.readable(timeline, record):
                return self.at_gate(timeline, lsn if exclusive else record.end_lsn)
        return None

    def xid(self, timeline: int, xid: int, exclusive: bool) -> Answer | None:
        ends = [each for each in self.archive.records_of(timeline) if self.archive.readable(timeline, each)]
        named = [each for each in ends if each.kind in TIMED and xid in (each.xid, *each.subxids)]
        if not named:
            return None
        return self.at_gate(timeline, named[-1].lsn if exclusive else named[-1].end_lsn)

    def name(self, timeline: int, name: str) -> Answer | None:
        records = [each for each in self.archive.records_of(timeline) if self.archive.readable(timeline, each)]
        named = [each for each in records if each.kind == "restore point" and each.name == name]
        return self.at_gate(timeline, named[-1].end_lsn) if named else None

    def latest(self, timeline: int) -> tuple[Answer, bool] | None:
        """The answer, and whether nothing of the line lies beyond what is replayed."""
        for backup, replayed in self.standing(timeline):
            ends = [each for each in replayed if each.kind in ENDS and each.lsn >= consistent(backup)]
            gate = ends[-1].end_lsn if ends else consistent(backup)
            rest = [each for each in self.archive.records_of(timeline) if each.lsn > replayed[-1].lsn]
            return self.answer(timeline, backup, gate), not any(self.archive.readable(timeline, each) for each in rest)
        return None
