"""`reprise files check`: what can be typed, the check, its document, CSV and lines."""

import argparse
from itertools import chain

from engine import acts
from engine.cli import files_findings, progress
from engine.cli.documents import Document, time, write
from engine.cli.printing import say
from engine.cli.telling import SIGNS, duration, size, stamp
from engine.records.checking import FileCheck
from engine.records.printable import printable
from engine.records.rows import NAMELESS

_LISTED = 10_000  # findings of a sort in a document; all are in the CSV
_SHOWN = 20  # for people
_SAMPLE = 100  # orphans in a document


def add(parser: argparse.ArgumentParser) -> None:
    """The options of `files check`."""
    parser.add_argument(
        "--against",
        default="live",
        metavar="live|RUN",
        help="the live database and media folder (default), or a run's recovered server",
    )
    parser.add_argument(
        "--csv", action="store_true", help="every finding as a line of CSV: kind, path, rows, size, why, row_samples"
    )


def carry_out(given: argparse.Namespace) -> int:
    """Check, and tell. The exit code is 1 where a file is missing or wrong, or a row names none."""
    desk = acts.open_desk(given.site, given.state)
    found = acts.check_site_files(desk, given.against, progress=progress.counting(given.json or given.csv))
    if given.json:
        write(_document(found, given.against))
    elif given.csv:
        _write_csv(found)
    else:
        zone = desk.site.zone
        if found.resumed_from is not None:
            say(f"went on with the check of {stamp(found.resumed_from, zone)}: {found.trusted} files unchanged since")
        _tell(found)
    return 0 if found.ok else 1


def _document(found: FileCheck, against: str) -> Document:
    return {
        "against": against,
        "root": found.root,
        "checked": found.checked,
        "missing": [files_findings.document(each) for each in acts.file_findings(found, "missing", _LISTED)],
        "wrong": [files_findings.document(each) for each in acts.file_findings(found, "wrong", _LISTED)],
        "orphans": {
            "count": found.orphans,
            "bytes": found.orphan_bytes,
            "sample": [files_findings.name(each) for each in acts.file_findings(found, "orphan", _SAMPLE)],
        },
        "ok": found.ok,
        "missing_count": found.missing,
        "wrong_count": found.wrong,
        "problems": list(found.problems),
        "bytes_read": found.bytes,
        "seconds": round(_seconds(found), 3),
        "resumed": {"from": time(found.resumed_from), "files": found.trusted} if found.resumed_from else None,
    }


def _seconds(found: FileCheck) -> float:
    return (found.finished_at - found.started_at).total_seconds()


def _write_csv(found: FileCheck) -> None:
    kinds = ("missing", "wrong", "orphan")
    findings = chain.from_iterable(acts.file_findings(found, kind) for kind in kinds)
    files_findings.write_csv(findings, names_rows=found.names_rows, problems=found.problems)
    if found.resumed_from is not None:
        say(f"went on with an earlier check: {found.trusted} files unchanged since", err=True)


def _tell(found: FileCheck) -> None:
    took = f"{size(found.bytes)} read, {duration(_seconds(found))}"
    say(f"{found.root}: {found.checked} files that the database refers to, {took}")
    for kind, count, title in (("missing", found.missing, "missing"), ("wrong", found.wrong, "wrong")):
        say(f" {SIGNS['bad' if count else 'ok']} {count} {title}")
        for each in acts.file_findings(found, kind, _SHOWN):
            files_findings.tell(each)
        _more(count)
    if (found.missing or found.wrong) and not found.names_rows:
        say(f"      {NAMELESS}")
    for problem in found.problems:
        say(f" {SIGNS['bad']} {problem}")
    sign = SIGNS["warn" if found.orphans else "ok"]
    say(f" {sign} {found.orphans} files that nobody refers to, {size(found.orphan_bytes)}")
    for each in acts.file_findings(found, "orphan", _SHOWN // 4):
        say(f"      {printable(each.path)}")
    if found.checked and found.missing == found.checked:
        say("every file is missing: is the folder mounted, and does strip_prefix fit?")


def _more(count: int) -> None:
    if count > _SHOWN:
        say(f"      and {count - _SHOWN} more; all of them: reprise files check --csv")
