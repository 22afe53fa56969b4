"""`reprise files list` and `reprise files diff`: what can be typed, the documents, and the lines for people."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

from engine import acts
from engine.cli.printing import say
from engine.records.errors import UsageError
from engine.records.printable import printable

if TYPE_CHECKING:
    from engine.cli.documents import Document

_TOLD = 200  # lines for people; --json tells all
_PAGE = 1000  # entries that are held at once
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def add_list(parser: argparse.ArgumentParser) -> None:
    """The options of `files list`."""
    parser.add_argument("snapshot", metavar="SNAPSHOT", help="a snapshot's id, as `reprise catalog` shows it")
    parser.add_argument("path", nargs="?", default="", metavar="PATH", help="a folder or file in it (default: the top)")
    parser.add_argument("--search", metavar="TEXT", help="all below PATH whose name has TEXT in it, in any case")


def add_diff(parser: argparse.ArgumentParser) -> None:
    """The options of `files diff`."""
    parser.add_argument("a", metavar="A", help="a snapshot's id, or 'live'")
    parser.add_argument("b", metavar="B", help="the one it is compared with: a snapshot's id, or 'live'")


def list_files(given: argparse.Namespace) -> int:
    """What stands in a folder of a snapshot, or below it by name."""
    if given.search == "":
        raise UsageError("--search wants a text")
    desk = acts.open_desk(given.site, given.state)
    listing = acts.list_files(desk, given.snapshot)
    try:
        path = os.fsencode(given.path).strip(b"/")
        here = listing.find(path)
        if here is None:
            remedy = f"look with: reprise files list {given.snapshot}"
            raise UsageError(f"{printable(path)} is not in {given.snapshot}", remedy=remedy)
        entries = _found(listing, here, path, given.search)
        if given.json:
            out = sys.stdout.buffer
            out.write(b'{"entries":')
            _write_array(out, (_document(row_path, row) for row_path, row in entries))
            out.write(b"}\n")
            out.flush()
        else:
            _tell(entries, lambda each: _line(desk.site.zone, *each))
    finally:
        listing.close()
    return 0


def _found(listing: Any, here: Any, path: bytes, search: str | None) -> Iterator[tuple[bytes, Any]]:
    """Entries with their paths, a page at a time."""
    if search is None and here.kind != "d":
        yield path, here
        return
    after = page = 0
    while True:
        if search is not None:
            rows = listing.search(search, here, after=after, count=_PAGE)
            yield from ((listing.path(row), row) for row in rows)
        else:
            rows = listing.folder(here.id, page, _PAGE)
            yield from ((path + b"/" + row.name if path else row.name, row) for row in rows)
        if len(rows) < _PAGE:
            return
        after, page = rows[-1].id, page + _PAGE


def compare_files(given: argparse.Namespace) -> int:
    """What was added, removed and changed from A to B."""
    desk = acts.open_desk(given.site, given.state)
    if not given.json and "live" in (given.a, given.b):
        say("no content of live files is read: a change that left size and time as they were does not show")
    with acts.compare_files(desk, given.a, given.b) as found:
        if given.json:
            _write_differences(found)
        else:
            _tell(found, lambda each: f"{_SIGNS[each.how]} {printable(each.path)}{_what(each.what)}")
    return 0


def _write_differences(found: Iterator[Any]) -> None:
    """The document of a difference, in bounded memory: what belongs into a later array waits on disk."""
    import tempfile

    with tempfile.TemporaryFile() as removed, tempfile.TemporaryFile() as changed, tempfile.TemporaryFile() as added:
        waiting = {"added": added, "removed": removed, "changed": changed}
        for each in found:
            document = _document(each.path, each.after or each.before)
            if each.how == "changed":
                document["what"] = list(each.what)
            file = waiting[each.how]
            file.write((b"," if file.tell() else b"") + _json(document))
        out = sys.stdout.buffer
        for name, file in waiting.items():
            out.write((b"{" if name == "added" else b",") + b'"' + name.encode() + b'":[')
            file.seek(0)
            while data := file.read(1 << 16):
                out.write(data)
            out.write(b"]")
        out.write(b"}\n")
        out.flush()


def _write_array(out: IO[bytes], documents: Iterator[Document]) -> None:
    out.write(b"[")
    for number, document in enumerate(documents):
        out.write((b",\n" if number else b"\n") + _json(document))
    out.write(b"]")


def _json(document: Document) -> bytes:
    from engine.cli.documents import encoded

    return encoded(document)


def _document(path: bytes, entry: Any) -> Document:
    """One entry. A folder's ``files`` and ``bytes`` are those of all below it, where a listing was asked."""
    digest = entry.sha256
    at = datetime.fromtimestamp(entry.mtime_ns // 10**9, UTC).replace(microsecond=entry.mtime_ns // 1000 % 10**6)
    folder = entry.kind == "d"
    return {
        "path": path.decode("utf-8", "backslashreplace"),
        "kind": entry.kind,
        "size": None if folder else entry.size,
        "mtime": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "mode": f"{entry.mode:04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "sha256": digest.hex() if isinstance(digest, bytes) else digest,
        "target": entry.target.decode("utf-8", "backslashreplace") if entry.kind == "l" else None,
        "files": getattr(entry, "files", None) if folder else None,
        "bytes": getattr(entry, "bytes", None) if folder else None,
    }


def _tell(found: Iterator[Any], line: Callable[[Any], str]) -> None:
    """Lines for people, the first of many."""
    more = 0
    for number, each in enumerate(found):
        if number < _TOLD:
            say(line(each))
        else:
            more += 1
    if more:
        say(f"and {more} more; --json lists all")


def _line(zone: Any, path: bytes, entry: Any) -> str:
    if entry.kind == "d":
        return f"{entry.bytes:>14}  {entry.files:>9} files       {printable(path)}/"
    at = datetime.fromtimestamp(entry.mtime_ns / 10**9, UTC).astimezone(zone)
    target = f" -> {printable(entry.target)}" if entry.kind == "l" else ""
    return f"{entry.size:>14}  {at:%Y-%m-%d %H:%M:%S}  {printable(path)}{target}"


def _what(what: tuple[str, ...]) -> str:
    return f"  ({', '.join(what)})" if what else ""
