"""`reprise files lost`: every file that a run could not bring back, with the rows that refer to it."""

import argparse
import sys
from itertools import islice

from engine import acts
from engine.cli import files_findings
from engine.cli.documents import encoded
from engine.cli.printing import say

_SHOWN = 200  # for people


def add(parser: argparse.ArgumentParser) -> None:
    """The options of `files lost`."""
    parser.add_argument("run", metavar="RUN", help="a run that brings files back, also while it waits at its gate")
    parser.add_argument("--csv", action="store_true", help="as CSV: kind, path, rows, size, why, row_samples")


def carry_out(given: argparse.Namespace) -> int:
    """List them. The exit code is 0, whatever is lost."""
    desk = acts.open_desk(given.site, given.state)
    run, found = acts.lost_files(desk, given.run)
    if given.json:
        out = sys.stdout.buffer
        out.write(b'{"run":' + encoded(run) + b',"lost":[')
        for number, each in enumerate(found):
            out.write((b",\n" if number else b"\n") + encoded(files_findings.document(each)))
        out.write(b"]}\n")
        out.flush()
    elif given.csv:
        files_findings.write_csv(found, names_rows=True)
    else:
        none = True
        for each in islice(found, _SHOWN):
            files_findings.tell(each)
            none = False
        if none:
            say(f"{run} left nothing out: every file that was wanted was found")
        elif more := sum(1 for _ in found):
            say(f"and {more} more; --csv and --json list all")
    return 0
