"""What a disaster does to files of the lab. Nothing outside the lab is touched: every path is one of the lab's own."""

import hashlib
import os
import random
import re
import shutil
from collections.abc import Collection
from pathlib import Path

from engine.lab.lab import Lab
from engine.records.errors import RepriseError
from engine.records.lsn import Lsn, format_lsn, parse_segment, segment_of

_SEGMENT = re.compile(r"[0-9A-F]{24}\Z")
_HISTORY = re.compile(r"([0-9A-F]{24})\.[0-9A-F]{8}\.backup\Z")
_STOPPED = re.compile(r"STOP WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)")


def hashes(folder: Path) -> dict[str, str]:
    """Every file below a folder, by its path in it, with its SHA-256."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def delete_data(lab: Lab, keep: Collection[str], *, new_disk: bool) -> None:
    """The data directory, but for these folders in it; ``new_disk``: it stays, and is empty."""
    if lab.server.processes():
        raise RepriseError(f"a server runs on {lab.data_dir}", remedy="let the scenario stop it before")
    if not keep and not new_disk:
        shutil.rmtree(lab.data_dir)
        return
    for entry in lab.data_dir.iterdir():
        if entry.name in keep:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def delete_segment(lab: Lab, lsn: Lsn | None) -> str:
    """One archived segment of those behind the newest base backup, the one that holds ``lsn`` (None: the one in the
    middle); its name."""
    notes = sorted(path for path in lab.archive.iterdir() if _HISTORY.match(path.name))
    stopped = _STOPPED.search(notes[-1].read_text()) if notes else None
    if stopped is None:
        raise RepriseError("no base backup of the lab has left its note in the archive")
    behind = sorted(path for path in lab.archive.iterdir() if _SEGMENT.match(path.name) and path.name > stopped[1])
    if len(behind) < 3:
        raise RepriseError("too little WAL behind the newest base backup", remedy="let the users work longer before")
    victim = behind[len(behind) // 2]
    if lsn is not None:
        size = victim.stat().st_size
        holding = [path for path in behind if parse_segment(path.name, size).number == segment_of(lsn, size)]
        if not holding or holding[-1] in (behind[0], behind[-1]):
            raise RepriseError(f"no segment in the middle of the archive holds {format_lsn(lsn)}")
        victim = holding[-1]
    victim.unlink()
    return victim.name


def flip_bit(lab: Lab, dice: random.Random) -> tuple[str, str]:
    """One bit in the largest file of the newest base backup; the backup's name, the file's path in it."""
    backups = sorted(path for path in lab.base_backups.iterdir() if (path / "backup_manifest").is_file())
    if not backups:
        raise RepriseError("the lab has no base backup")
    newest = backups[-1]
    inside = [path for path in newest.rglob("*") if path.is_file() and path.name != "backup_manifest"]
    victim = max(inside, key=lambda path: path.stat().st_size)
    times = victim.stat()
    with victim.open("r+b") as file:
        file.seek(times.st_size // 2)
        byte = file.read(1)[0]
        file.seek(times.st_size // 2)
        file.write(bytes([byte ^ 1 << dice.randrange(8)]))
    os.utime(victim, ns=(times.st_atime_ns, times.st_mtime_ns))  # a disk that rots tells nobody when
    return newest.name, str(victim.relative_to(newest))


def delete_files(lab: Lab, share: float, dice: random.Random) -> int:
    """So much of the media folder's files; how many."""
    files = sorted(path for path in lab.media.rglob("*") if path.is_file())
    doomed = dice.sample(files, round(len(files) * share))
    for path in doomed:
        path.unlink()
    return len(doomed)
