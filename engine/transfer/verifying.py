"""A base backup read through and held against its manifest; nothing is written."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from engine.records.errors import DamagedCopy
from engine.transfer.contents import is_dropped
from engine.transfer.expected import Expected
from engine.transfer.naming import shown
from engine.transfer.reading import Archive, list_archives, list_plain, read_archive, read_file, read_manifest_file
from engine.transfer.tar import TarReader

_BUFFER = 128 << 10  # bytes
_WAL_TAR = re.compile(r"pg_wal\.tar(?:\.(?:gz|lz4|zst))?\Z")

Progress = Callable[[int, int | None], None]


def verify_backup(backup: Path, format: str, progress: Progress = lambda done, total: None) -> bool:
    """Read every byte of a backup that its manifest speaks of, and compare. True: each file had a checksum; False:
    without a manifest, or without checksums in it, only what can be read was read.

    ``progress`` hears bytes done and bytes known. Raises DamagedCopy that names the first file that is not right,
    Unreachable where the backup cannot be read.
    """
    return _Verifier(backup, progress).run(format)


class _Verifier:
    def __init__(self, backup: Path, progress: Progress) -> None:
        self.backup, self.progress = backup, progress
        self.expected = Expected(backup, read_manifest_file(backup))
        self.done = 0

    def run(self, format: str) -> bool:
        self._plain() if format == "plain" else self._tar()
        self.expected.nothing_missing()
        return self.expected.checksums

    def _plain(self) -> None:
        buffer = memoryview(bytearray(_BUFFER))
        files = [file for file in list_plain(self.backup).files if self._counts(file.path)]
        for file in files:
            self.expected.announce(file.path, file.size)
            self._read(file.path, file.size, read_file(file, self.backup, buffer))

    def _tar(self) -> None:
        for archive in list_archives(self.backup):
            with closing(read_archive(archive, lambda count: None)) as blocks:
                reader = TarReader(archive.path, blocks)
                for entry in reader:
                    path = archive.prefix + entry.name
                    if entry.kind == "file" and self._counts(path):
                        self.expected.announce(path, entry.size)
                        self._read(path, entry.size, reader.content())
        self._wal_tar()

    def _wal_tar(self) -> None:
        """The WAL that was streamed beside the backup stands in no manifest: it must at least be a whole archive."""
        for place in self.backup.iterdir():
            if _WAL_TAR.match(place.name):
                archive = Archive(place, None, place.stat().st_size)
                with closing(read_archive(archive, lambda count: None)) as blocks:
                    if not any(entry.kind == "file" for entry in TarReader(place, blocks)):
                        raise DamagedCopy(f"the backup {shown(self.backup)} is damaged: {place.name} holds no WAL")

    def _counts(self, path: str) -> bool:
        return self.expected.knows(path) or not is_dropped(path)

    def _read(self, path: str, size: int, pieces: Iterator[memoryview]) -> None:
        checksum, read = self.expected.checksum(path), 0
        for piece in pieces:
            read += len(piece)
            if checksum is not None:
                checksum.update(piece)
        self.expected.read(path, read, size, checksum)
        self.done += read
        self.progress(self.done, self.expected.bytes)
