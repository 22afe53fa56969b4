"""The commands that remedies name: exact ones, that can be typed."""

import shlex
from datetime import UTC, datetime

from msgspec import Struct

from engine.records.lsn import Lsn, format_lsn
from engine.records.target import RecoveryTarget


class Wording(Struct, frozen=True):
    """``command`` is what the operator called; ``arguments`` what followed the target (the destination)."""

    command: str = "reprise restore"
    arguments: str = ""

    @staticmethod
    def time(at: datetime) -> str:
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def say(self, what: str, *, timeline: int | None = None, backup: str | None = None) -> str:
        words = [self.command, what]
        words += [f"--timeline {timeline}"] if timeline is not None else []
        words += [f"--backup {shlex.quote(backup)}"] if backup is not None else []
        return " ".join([*words, self.arguments]).strip()

    def again(self, target: RecoveryTarget, *, timeline: int | None = None) -> str:
        """The same target, on a timeline."""
        return self.say(describe(target), timeline=timeline or target.timeline, backup=target.backup)

    def at_time(self, at: datetime, target: RecoveryTarget, timeline: int | None = None) -> str:
        return self.say(f"--time {self.time(at)}", timeline=timeline or target.timeline, backup=target.backup)

    def at_lsn(self, lsn: Lsn, target: RecoveryTarget, timeline: int | None = None) -> str:
        return self.say(f"--lsn {format_lsn(lsn)}", timeline=timeline or target.timeline, backup=target.backup)


def describe(target: RecoveryTarget) -> str:
    """A target as the command line says it."""
    said = f"--{target.kind}"
    if target.kind == "time" and target.time is not None:
        said += f" {Wording.time(target.time)}"
    elif target.kind == "lsn" and target.lsn is not None:
        said += f" {format_lsn(target.lsn)}"
    elif target.kind == "xid":
        said += f" {target.xid}"
    elif target.kind == "name":
        said += f" {shlex.quote(target.name or '')}"
    return said + (" --exclusive" if target.exclusive else "") + (" --accept-gap" if target.accept_gap else "")
