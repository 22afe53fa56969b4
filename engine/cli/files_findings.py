"""Findings of files, one by one: as documents, as lines of CSV, and for people."""

import csv
import io
import os
import sys
from collections.abc import Iterable

from engine.cli.documents import Document
from engine.cli.printing import say
from engine.records.checking import FileFinding
from engine.records.printable import printable
from engine.records.rows import told_rows

_AT_ONCE = 1 << 16  # characters


def name(finding: FileFinding) -> str:
    return os.fsdecode(finding.path)


def document(finding: FileFinding) -> Document:
    """Its path, why, and how many rows refer to it; where the query names rows, the first of them."""
    why = {"why": finding.why} if finding.why else {}
    rows = {"row_samples": [dict(each) for each in finding.named]} if finding.named else {}
    return {"path": name(finding), **why, "rows": finding.rows, **rows}


def tell(finding: FileFinding) -> None:
    rows = f"{finding.rows} row{'s' if finding.rows != 1 else ''}" if finding.rows else ""
    said = ", ".join(filter(None, (finding.why, rows)))
    say(f"      {printable(finding.path)}" + (f"  ({said})" if said else ""))
    if finding.named:
        say(f"        {told_rows(finding.named, finding.rows)}")


def write_csv(findings: Iterable[FileFinding], *, names_rows: bool, problems: Iterable[str] = ()) -> None:
    """On standard output; paths stand in it byte for byte. The rows have a column where the query names them."""
    lines = io.StringIO(newline="")
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(("kind", "path", "rows", "size", "why", *(["row_samples"] if names_rows else [])))
    for each in findings:
        told = [told_rows(each.named, each.rows)] if names_rows else []
        writer.writerow((each.kind, name(each), each.rows, "" if each.size is None else each.size, each.why, *told))
        if lines.tell() > _AT_ONCE:
            _flush(lines)
    for problem in problems:
        writer.writerow(("problem", "", "", "", problem, *([""] if names_rows else [])))
    _flush(lines)


def _flush(lines: io.StringIO) -> None:
    sys.stdout.buffer.write(os.fsencode(lines.getvalue()))
    sys.stdout.buffer.flush()
    lines.seek(0)
    lines.truncate()
