"""What pg_waldump says of an archive: the tests' oracle, which knows nothing of engine/wal."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from engine.records.lsn import Lsn, parse_lsn, parse_segment
from engine.records.survey import Programs


class Ended(NamedTuple):
    """A transaction end as pg_waldump tells it (an oracle of its own): ``lsn`` is the record's start."""

    timeline: int
    lsn: Lsn
    xid: int
    at: datetime
    kind: str  # COMMIT, ABORT, COMMIT_PREPARED, ABORT_PREPARED, PREPARE


def transaction_ends(programs: Programs, archive: Path, names: Sequence[str], segment_size: int) -> list[Ended]:
    """All transaction ends in these segments (sorted names), timeline by timeline in WAL order. ``at`` is in UTC."""
    found: list[Ended] = []
    for timeline in sorted({int(name[:8], 16) for name in names}):
        for first, last in _runs([name for name in names if int(name[:8], 16) == timeline], segment_size):
            found += _waldump(programs, archive, first, last, timeline)
    return found


def _runs(names: list[str], segment_size: int) -> Iterator[tuple[str, str]]:
    start = previous = None
    for name in names:
        number = parse_segment(name, segment_size).number
        if start is None or previous is None or number != previous[1] + 1:
            if start is not None and previous is not None:
                yield start, previous[0]
            start = name
        previous = (name, number)
    if start is not None and previous is not None:
        yield start, previous[0]


_ENDED = re.compile(
    r"tx:\s+(\d+), lsn: ([0-9A-F]+/[0-9A-F]+), .*?desc: (COMMIT|ABORT|PREPARE|COMMIT_PREPARED|ABORT_PREPARED)"
    r"(?: gid [^:;]+:)? (?:(\d+): )?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) UTC"
)


def _waldump(programs: Programs, archive: Path, first: str, last: str, timeline: int) -> list[Ended]:
    command = [f"{programs.bin_dir}/pg_waldump", "--rmgr=Transaction", f"--path={archive}", first, last]
    done = subprocess.run(command, capture_output=True, text=True, env={"TZ": "UTC", "LC_ALL": "C"}, check=False)
    found = []
    for line in done.stdout.splitlines():
        if told := _ENDED.search(line):
            at = datetime.fromisoformat(told[5]).replace(tzinfo=UTC)
            found.append(Ended(timeline, parse_lsn(told[2]), int(told[4] or told[1]), at, told[3]))
    return found
