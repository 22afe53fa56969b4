"""A base backup without its contents: every file has its name and its length (a hole), and of content only what
pg_combinebackup looks at before it reads blocks. So a chain of backups in any format can be tried, in little room.

With ``--dry-run --debug`` it reads the labels, manifests and pg_control of all members and the headers of the
incremental files, and sees that each file which a block would come from is long enough
(src/bin/pg_combinebackup/reconstruct.c, debug_reconstruction)."""

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from engine.records.errors import DamagedCopy
from engine.transfer.contents import CONTROL, MANIFEST, TABLESPACES, is_dropped
from engine.transfer.failures import writing
from engine.transfer.naming import shown
from engine.transfer.reading import list_archives, list_plain, read_archive, read_file, read_manifest_file
from engine.transfer.tar import TarReader

_WHOLE = frozenset(("PG_VERSION", "backup_label", "tablespace_map", CONTROL))
_INCREMENTAL = "INCREMENTAL."
_HEAD = 12 + 4 * (1 << 17)  # bytes: magic, counts, and a number for each of a 1 GB file's 8 KB blocks
_BUFFER = 64 << 10  # bytes

_File = tuple[str, int, Iterator[memoryview]]


def write_skeleton(backup: Path, format: str, into: Path) -> None:
    """Make the skeleton of a backup in the absent folder ``into``; a tablespace's files come to lie inside it, in
    ``pg_tblspc``. Raises DamagedCopy, Unreachable; RunFailed for what goes wrong with ``into``."""
    manifest = read_manifest_file(backup)
    with writing(into):
        into.mkdir(mode=0o700)
        (into / TABLESPACES).mkdir()  # it is looked into, also where there are none
        if manifest is not None:
            (into / MANIFEST).write_bytes(manifest)
    files = _plain(backup) if format == "plain" else _tar(backup)
    for path, size, pieces in files:
        with writing(into / path):
            _write(into / path, size, _kept(path, pieces))


def _plain(backup: Path) -> Iterator[_File]:
    buffer = memoryview(bytearray(_BUFFER))
    for file in list_plain(backup).files:
        if not is_dropped(file.path):
            yield file.path, file.size, read_file(file, backup, buffer)


def _tar(backup: Path) -> Iterator[_File]:
    for archive in list_archives(backup):
        with closing(read_archive(archive, lambda count: None)) as blocks:
            reader = TarReader(archive.path, blocks)
            for entry in reader:
                path = archive.prefix + entry.name
                if entry.kind == "file" and path != MANIFEST and not is_dropped(path):
                    yield path, entry.size, reader.content()


def _kept(path: str, pieces: Iterable[memoryview]) -> Iterator[memoryview]:
    """The beginning of a file as far as it is looked at."""
    left = 1 << 20 if path in _WHOLE else _HEAD if path.rpartition("/")[2].startswith(_INCREMENTAL) else 0
    if not left:
        return
    for piece in pieces:
        yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return


def _write(place: Path, size: int, pieces: Iterator[memoryview]) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise DamagedCopy(f"the backup holds {shown(place.name)} twice in one folder") from None
    with os.fdopen(handle, "wb") as file:
        for piece in pieces:
            file.write(piece)
        file.truncate(size)
