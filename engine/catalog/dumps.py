"""Logical copies made by pg_dump, told by their first bytes (`src/bin/pg_dump/pg_backup_archiver.c`)."""

import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from engine.catalog.files import read_small, read_unpacked, strange_name
from engine.records.copies import Dump, Problem
from engine.records.errors import DamagedCopy
from engine.transfer.naming import shown

_MAGIC = b"PGDMP"
_PLAIN = (b"-- PostgreSQL database dump", b"-- PostgreSQL database cluster dump")
_HEAD = 4096  # bytes looked at
_TOC_LIMIT = 256 << 20


def read_dumps(folder: Path, repository: str, alive: Callable[[], None]) -> tuple[list[Dump], list[Problem]]:
    """The dumps in a folder: custom, directory and plain ones, each at the time of its file. Raises OSError where the
    folder cannot be listed."""
    dumps: list[Dump] = []
    problems: list[Problem] = []
    for path in sorted(folder.iterdir()):
        alive()
        if path.name.startswith("."):
            continue
        if strange_name(path.name):
            problems.append(Problem(shown(path), "its name cannot be shown: not UTF-8, or with control characters"))
            continue
        try:
            dump = _read_dump(path, repository)
        except OSError as error:
            problems.append(Problem(str(path), f"cannot be read: {error.strerror}"))
        except DamagedCopy as error:
            problems.append(Problem(str(path), f"{error.message}: {error.cause}" if error.cause else error.message))
        else:
            if dump is not None:
                dumps.append(dump)
    return sorted(dumps, key=lambda dump: (dump.started_at, dump.id)), problems


def _read_dump(path: Path, repository: str) -> Dump | None:
    found = path.stat()
    kind: Literal["custom", "directory", "plain"]
    reason = None
    if stat.S_ISDIR(found.st_mode):
        try:
            content = (path / "toc.dat").stat()
        except FileNotFoundError:
            return None
        kind, size, head = "directory", _size(path), read_small(path / "toc.dat", _TOC_LIMIT)[:_HEAD]
        if not head.startswith(_MAGIC):
            reason = "toc.dat is no table of contents of pg_dump"
        found = content
    else:
        size, head = found.st_size, read_unpacked(path, _HEAD)
        if head.startswith(_MAGIC):
            kind = "custom"
        elif any(mark in head for mark in _PLAIN):
            kind = "plain"
        else:
            return None
    at = datetime.fromtimestamp(found.st_mtime, UTC)
    return Dump(path.name, repository, path, kind, at, size, usable=reason is None, reason=reason)


def _size(folder: Path) -> int:
    with os.scandir(folder) as entries:
        return sum(
            entry.stat(follow_symlinks=False).st_size for entry in entries if entry.is_file(follow_symlinks=False)
        )
