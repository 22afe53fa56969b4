"""A snapshot held against its catalogue: every file read once, nothing missing, nothing that is not in it."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.media.catalogue import Entry, catalogue_of, open_catalogue
from engine.media.walking import walk
from engine.records.errors import DamagedCopy
from engine.transfer.naming import shown

_BLOCK = 1 << 20  # bytes
_TOLD = 50  # findings by name


def verify_snapshot(snapshot: Path, progress: Callable[[int, int], None] = lambda files, bytes: None) -> list[str]:
    """What is wrong with a snapshot, the first fifty findings and the number of more; empty where all is right.
    ``progress`` hears files and bytes read. Raises OSError where the snapshot or its catalogue cannot be read."""
    findings: list[str] = []
    more = files = read = 0
    try:
        for finding, size in _compare(snapshot):
            files, read = files + 1, read + size
            if not files & 0x3F:
                progress(files, read)
            if finding is None:
                continue
            if len(findings) < _TOLD:
                findings.append(finding)
            else:
                more += 1
    except DamagedCopy as error:
        findings.append(f"{error.message}: {error.cause}" if error.cause else error.message)
    progress(files, read)
    return [*findings, f"and {more} more"] if more else findings


def _compare(snapshot: Path) -> Iterator[tuple[str | None, int]]:
    """A merge of the catalogue and the folder, which come in the same order: a finding (or None) and bytes read for
    each entry of either."""
    buffer = memoryview(bytearray(_BLOCK))
    there = walk(os.fsencode(snapshot))
    found = next(there, None)
    with open_catalogue(catalogue_of(snapshot)) as catalogue:
        for entry in catalogue:
            while found is not None and tuple(found[0].split(b"/")) < entry.key:
                yield f"{_name(found[0])} is not in the catalogue", 0
                found = next(there, None)
            if found is None or found[0] != entry.path:
                yield f"{_name(entry.path)} is missing", 0
                continue
            yield _check(entry, found[1], buffer)
            found = next(there, None)
    while found is not None:
        yield f"{_name(found[0])} is not in the catalogue", 0
        found = next(there, None)


def _check(entry: Entry, found: os.DirEntry[bytes], buffer: memoryview) -> tuple[str | None, int]:
    try:
        status = found.stat(follow_symlinks=False)
        kind = {stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFREG: "f"}.get(stat.S_IFMT(status.st_mode))
        if kind != entry.kind:
            return f"{_name(entry.path)} is another kind of file than the catalogue says", 0
        if kind == "l" and os.readlink(found.path) != entry.target:  # noqa: PTH115
            return f"{_name(entry.path)} leads elsewhere than the catalogue says", 0
        if kind != "f":
            return None, 0
        if status.st_size != entry.size:
            return f"{_name(entry.path)} has {status.st_size} bytes, the catalogue says {entry.size}", 0
        digest, size = _digest(found.path, buffer)
    except OSError as problem:
        return f"{_name(entry.path)} cannot be read: {problem.strerror}", 0
    return (None if digest == entry.sha256 else f"{_name(entry.path)} has other content than the catalogue says"), size


def _digest(path: bytes, buffer: memoryview) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while count := os.readv(handle, [buffer]):
            digest.update(buffer[:count])
            size += count
    finally:
        os.close(handle)
    return digest.hexdigest(), size


def _name(path: bytes) -> str:
    return shown(os.fsdecode(path))
