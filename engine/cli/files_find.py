"""`reprise files find`: the files that rows of the live database refer to, by words in those rows."""

import argparse
import os
from typing import Any

from engine import acts
from engine.cli.documents import write
from engine.cli.printing import say
from engine.cli.telling import size
from engine.records.errors import UsageError
from engine.records.printable import printable
from engine.records.rows import told_rows


def add(parser: argparse.ArgumentParser) -> None:
    """The options of `files find`."""
    parser.add_argument("words", nargs="+", metavar="WORD", help="what a row has in it, all of the words, in any case")


def carry_out(given: argparse.Namespace) -> int:
    """List them. The exit code is 0, also where there is none."""
    text = " ".join(given.words).strip()
    if not text:
        raise UsageError("files find wants a word")
    found, all_of_them = acts.files_of_rows(acts.open_desk(given.site, given.state), text)
    if given.json:
        write({"files": [_document(each) for each in found], "all": all_of_them})
        return 0
    for each in found:
        known = f"  {size(each.size)}" if each.size is not None else ""
        say(f"{printable(each.path)}{known}  {each.rows} row{'s' if each.rows != 1 else ''}")
        if each.named:
            say(f"        {told_rows(each.named, each.rows)}")
    if not found:
        say("no row has that in it")
    elif not all_of_them:
        say("there are more rows than were looked at: more words find fewer")
    return 0


def _document(each: Any) -> dict[str, object]:
    rows = {"row_samples": [dict(row) for row in each.named]} if each.named else {}
    return {"path": os.fsdecode(each.path), "size": each.size, "sha256": each.sha256, "rows": each.rows, **rows}
