"""Timeline history files (``00000002.history``): `src/backend/access/transam/timeline.c`, readTimeLineHistory."""

import re
from typing import NamedTuple

from engine.records.errors import DamagedCopy
from engine.records.lsn import Lsn, parse_lsn

_LINE = re.compile(r"\s*(\d{1,10})\s+([0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8})(?:\s+(.*))?\Z", re.ASCII)


class Fork(NamedTuple):
    """One line: the timeline ``parent`` was left at ``lsn``, for ``reason`` (PostgreSQL's own words)."""

    parent: int
    lsn: Lsn
    reason: str


def read_history(text: str, timeline: int) -> list[Fork]:
    """The ancestors of ``timeline``, oldest first: the last one is its parent. Raises DamagedCopy."""
    forks: list[Fork] = []
    for line in text.split("\n"):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.match(line.rstrip("\r"))
        if found is None:
            raise DamagedCopy(f"the history of timeline {timeline} has an unreadable line: {line[:80]!r}")
        fork = Fork(int(found[1]), parse_lsn(found[2]), (found[3] or "").strip())
        if forks and fork.parent <= forks[-1].parent:
            raise DamagedCopy(f"the history of timeline {timeline} does not name its ancestors in order")
        forks.append(fork)
    if forks and forks[-1].parent >= timeline:
        raise DamagedCopy(f"the history of timeline {timeline} names timeline {forks[-1].parent} as its ancestor")
    return forks
