"""Logical copies made by pg_dump, told by their first bytes (`src/bin/pg_dump/pg_backup_archiver.c`)."""

import os
import re
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from engine.catalog.files import read_small, read_unpacked, strange_name
from engine.dumps.layout import CONTENTS, GLOBALS, NOTE, DumpNote
from engine.records.copies import Dump, Problem
from engine.records.errors import DamagedCopy
from engine.transfer.naming import shown

_MAGIC = b"PGDMP"
_PLAIN = (b"-- PostgreSQL database dump", b"-- PostgreSQL database cluster dump")
_USUAL = re.compile(r"\.(dump|dmp|pgdump|backup|custom|sql)(\.(gz|lz4|zst))?\Z")
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


def is_dump(path: Path) -> bool:
    """Whether a folder, or a file with a dump's usual name, is one that can be used; nothing is said of why not."""
    try:
        if path.is_dir() or _USUAL.search(path.name):
            dump = _read_dump(path, "")
            return dump is not None and dump.usable
    except (OSError, DamagedCopy):
        pass
    return False


def _read_dump(path: Path, repository: str) -> Dump | None:
    found = path.stat()
    kind: Literal["custom", "directory", "plain"]
    reason = None
    if stat.S_ISDIR(found.st_mode) and (path / NOTE).is_file():
        return _read_own(path, repository)
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


def _read_own(path: Path, repository: str) -> Dump:
    """A dump that Reprise took: it says itself what it is."""
    try:
        note = msgspec.json.decode(read_small(path / NOTE), type=DumpNote)
        if note.started_at.tzinfo is None:
            raise DamagedCopy("its time has no UTC offset")
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise DamagedCopy(f"{NOTE} cannot be read", cause=str(error)) from None
    lacks = [name for name in (CONTENTS[note.format], GLOBALS) if not (path / name).exists()]
    size = sum(each.stat().st_size for each in path.rglob("*") if each.is_file() and not each.is_symlink())
    return Dump(
        path.name,
        repository,
        path,
        note.format,
        note.started_at.astimezone(UTC),
        size,
        database=note.database,
        usable=not lacks,
        reason=f"{lacks[0]} is missing" if lacks else None,
        ours=True,
    )


def _size(folder: Path) -> int:
    with os.scandir(folder) as entries:
        return sum(
            entry.stat(follow_symlinks=False).st_size for entry in entries if entry.is_file(follow_symlinks=False)
        )
