"""Names of files as backups and archives give them: shown safely, and taken apart safely."""

import os
from pathlib import Path, PurePath

from engine.records.errors import DamagedCopy
from engine.records.printable import printable


def shown(path: str | PurePath) -> str:
    """A name for messages and logs: what is not UTF-8 or not printable is escaped."""
    return printable(os.fsencode(path))


def safe_name(name: str, archive: Path) -> str:
    """An entry's name as a path below a root, ``""`` for the root itself: ``./base/1/`` is ``base/1``. Raises
    DamagedCopy for a name that leads elsewhere, or that no file can have."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\0" in name or any(len(os.fsencode(part)) > 255 for part in parts):
        raise DamagedCopy(
            f"{shown(archive)} holds an entry that does not belong into a backup: {shown(name)}",
            cause="its name leads out of the backup",
            remedy="do not use this backup; find out who made it",
        )
    return "/".join(parts)
