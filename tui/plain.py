"""Without a terminal: the catalog and the windows as plain lines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from engine.records.errors import RepriseError
from engine.records.lsn import format_lsn
from tui import words
from tui.acting import Acts
from tui.painting.glyphs import printable, to_ascii
from tui.widgets.panes import merge_windows

if TYPE_CHECKING:
    from engine.acts import Desk


def print_plain(desk: Desk, acts: Acts, out: TextIO | None = None) -> int:
    """Print what there is and what can be reached; the exit code."""
    out = out or sys.stdout
    zone = desk.site.zone

    def say(line: str = "") -> None:
        out.write(to_ascii(printable(line)) + "\n")

    try:
        acts.read_archive(desk, lambda done, total: None, lambda: False)
        view = acts.look(desk)
    except RepriseError as error:
        say(f"reprise: {error.message}")
        if error.remedy:
            say(f"         {error.remedy}")
        return error.exit_code
    say(f"site {desk.site.name}   times in {zone}")
    say()
    say("base backups")
    for backup in view.catalog.base_backups:
        at = backup.started_at or backup.stopped_at
        when = words.minute(at, zone) if at else "?"
        kind = "incremental" if backup.incremental else "full"
        state = f"in doubt: {backup.doubt}" if backup.doubt else "usable"
        state = state if backup.usable else f"NOT USABLE: {backup.reason}"
        say(f"  {when:>12}  {kind:<11}  {words.size(backup.size_bytes):>9}  {backup.id}  {state}")
    say()
    say("recovery windows")
    for row in merge_windows(view.windows):
        why = f"   {row.ended_by}" if row.ended_by else ""
        say(f"  timeline {row.timeline}   {words.second(row.start, zone)} - {words.second(row.stop, zone)}{why}")
    for gap in view.catalog.gaps:
        say(f"  missing on timeline {gap.timeline}: {gap.first_missing} to {gap.last_missing}")
    for point in view.catalog.restore_points:
        say(f"  restore point {point.name}   {words.second(point.at, zone)}   {format_lsn(point.lsn)}")
    for problem in view.catalog.problems:
        say(f"  note: {problem.where}: {problem.what}")
    say()
    say("Without a terminal, use the commands: reprise --help")
    return 0
