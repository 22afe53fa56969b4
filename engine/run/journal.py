"""The journal of a run: append-only JSON lines ``{"at", "kind", …}``, written by the engine alone, read by anybody.

Every entry is on disk when ``append`` returns: there are few (step boundaries, undo records, facts), progress is not
among them. A crash may leave a torn last line; it is no entry, and the next engine cuts it off.
"""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from engine.records.errors import DamagedCopy, RepriseError

Entry = dict[str, Any]


class Read(NamedTuple):
    """Entries, and the byte behind the last whole line: where the next reading starts."""

    entries: list[Entry]
    offset: int


def now_text() -> str:
    """This moment as the contract writes times: ``2026-11-22T11:03:10.123456Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_entries(path: Path, offset: int = 0) -> Read:
    """All whole entries from a byte on; call it again with the returned offset to follow a run. A torn last line
    is left for later. Raises DamagedCopy where a line in the middle is no entry, RepriseError if it is unreadable."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
    except OSError as error:
        raise RepriseError(f"the journal {path} cannot be read", cause=error.strerror) from error
    entries: list[Entry] = []
    start = 0
    while end := data.find(b"\n", start) + 1:
        entry = _entry(data[start:end])
        if entry is None:
            if end == len(data):  # the last line: torn, whatever stands in it
                break
            raise DamagedCopy(
                f"the journal {path} is damaged at byte {offset + start}",
                cause="a line there is not an entry",
                remedy="keep the folder and look at what the run left by hand",
            )
        entries.append(entry)
        start = end
    return Read(entries, offset + start)


def _entry(line: bytes) -> Entry | None:
    try:
        entry = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(entry, dict) and isinstance(entry.get("kind"), str) and isinstance(entry.get("at"), str):
        return entry
    return None


class Journal:
    """The engine's pen. ``heard`` is called with every entry that has reached the disk."""

    def __init__(self, path: Path, heard: Callable[[Entry], None]) -> None:
        """Opens (or makes) the journal, cuts a torn last line off, and lets ``heard`` have what stands in it."""
        self._heard = heard
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        read = read_entries(path)
        if os.fstat(self._file).st_size != read.offset:
            os.ftruncate(self._file, read.offset)
            os.fsync(self._file)
        self._size = read.offset
        for entry in read.entries:
            heard(entry)

    def append(self, kind: str, content: Mapping[str, Any] | None = None) -> None:
        """Write one entry; returns when it is on disk. Raises OSError (and leaves no half line) where it cannot."""
        entry: Entry = {"at": now_text(), "kind": kind, **(content or {})}
        line = msgspec.json.encode(entry) + b"\n"
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise OSError(error.errno, error.strerror, str(self._path)) from None
        self._size += len(line)
        self._heard(msgspec.json.decode(line))

    def close(self) -> None:
        os.close(self._file)
