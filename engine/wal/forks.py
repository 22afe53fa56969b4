"""Timelines and their forks, from ``.history`` files (PostgreSQL's `src/backend/access/transam/timeline.c`)."""

import re
from collections.abc import Mapping

from engine.records.copies import Timeline
from engine.records.lsn import parse_lsn

_LINE = re.compile(r"\s*(\d+)\s+([0-9A-Fa-f]+/[0-9A-Fa-f]+)(?:\s+(.*?))?\s*\Z")


def read_timelines(histories: Mapping[int, str]) -> dict[int, Timeline]:
    """All timelines that history files name, by id. A line that is none ends what is believed of its file."""
    found: dict[int, Timeline] = {}
    for child in sorted(histories):
        lines: list[tuple[int, int, str | None]] = []
        for line in histories[child].splitlines():
            text = line.split("#", 1)[0]
            if not text.strip():
                continue
            match = _LINE.match(text)
            if match is None or not 0 < int(match[1]) < child or (lines and int(match[1]) <= lines[-1][0]):
                break
            try:
                lines.append((int(match[1]), parse_lsn(match[2]), match[3] or None))
            except ValueError:
                break
        for (parent, fork, reason), own in zip(lines, [*(line[0] for line in lines[1:]), child], strict=True):
            if own == child or own not in found:
                found[own] = Timeline(own, parent, fork, reason)
        if lines:
            found.setdefault(lines[0][0], Timeline(lines[0][0]))
        found.setdefault(child, Timeline(child))
    return dict(sorted(found.items()))
