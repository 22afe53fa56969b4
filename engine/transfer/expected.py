"""What a backup's manifest says must be there, and whether it was."""

import threading
from pathlib import Path

from engine.formats.manifest import ManifestFile, read_manifest
from engine.records.errors import DamagedCopy
from engine.transfer.checksums import Checksum, new_checksum
from engine.transfer.contents import CONTROL, is_dropped, is_verified
from engine.transfer.naming import shown

_REMEDY = "give the same command again: it takes another backup where one reaches as far"
_ALWAYS = ("PG_VERSION", CONTROL, "backup_label")  # without these it is no base backup, manifest or not


class Expected:
    """The files of a manifest, crossed off as they are seen. Without a manifest (``data`` None) only the files that
    every base backup has are expected. Safe to be used from several threads."""

    def __init__(self, backup: Path, data: bytes | None) -> None:
        self.backup = backup
        self.has_manifest = data is not None
        self.files: dict[str, ManifestFile] = {}
        self.bytes: int | None = None  # of all files that the manifest has and a copy reads
        if data is not None:
            listed = read_manifest(data).files
            self.files = {file.path: file for file in listed if is_verified(file.path)}
            self.bytes = sum(file.size for file in listed if file.path in self.files or not is_dropped(file.path))
        self._missing = set(self.files) | set(_ALWAYS)
        self._lock = threading.Lock()

    @property
    def checksums(self) -> bool:
        """Whether every file of the manifest has one."""
        return self.has_manifest and all(file.checksum for file in self.files.values())

    def knows(self, path: str) -> bool:
        return path in self.files

    def checksum(self, path: str) -> Checksum | None:
        """What to compute for a file; None where the manifest has none."""
        file = self.files.get(path)
        return new_checksum(file.algorithm) if file is not None else None

    def announce(self, path: str, size: int) -> None:
        """A file is there with this size. Raises DamagedCopy where the manifest has another or none."""
        file = self.files.get(path)
        if file is None:
            if self.has_manifest and is_verified(path):
                raise self._damaged(path, "is not in the backup's manifest")
        elif file.size != size:
            raise self._damaged(path, f"has {size} bytes, its manifest says {file.size}")
        with self._lock:
            self._missing.discard(path)

    def read(self, path: str, size: int, announced: int, checksum: Checksum | None) -> None:
        """A file was read to its end. Raises DamagedCopy where size or checksum are not the manifest's."""
        if size != announced:
            raise self._damaged(path, f"had {announced} bytes and then {size}: it changed, or it is cut off")
        file = self.files.get(path)
        if file is None or checksum is None or file.checksum is None:
            return
        found = checksum.hexdigest()
        if found.lower() != file.checksum.lower():
            raise self._damaged(path, f"its {file.algorithm} is {found}, its manifest says {file.checksum}")

    def nothing_missing(self) -> None:
        """Raises DamagedCopy that names what was not there."""
        missing = sorted(self._missing)
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise DamagedCopy(
                f"the backup {shown(self.backup)} lacks {shown(missing[0])}{more}", cause=None, remedy=_REMEDY
            )

    def _damaged(self, path: str, cause: str) -> DamagedCopy:
        return DamagedCopy(f"the backup {shown(self.backup)} is damaged: {shown(path)}", cause=cause, remedy=_REMEDY)
