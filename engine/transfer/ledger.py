"""Which files of an unfinished copy are complete: an append-only list inside the copy itself.

A file's line is written when its last byte is, so within one boot of the machine every line counts: the page cache
outlives the process. After a loss of power only those lines count that a sync has covered. The list also marks the
folder as an unfinished copy of ours; it goes away when the copy is released.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct, field

LEDGER = ".reprise-copy"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Ledger(Struct):
    """``done`` are paths within the backup and their sizes; ``result`` is set once the copy is complete."""

    path: Path
    file: int
    done: dict[str, int] = field(default_factory=dict)
    result: dict[str, Any] | None = None

    def add(self, path: str, size: int) -> None:
        """One more file is complete. Safe to be called from several threads."""
        self._append([path, size])

    def position(self) -> int:
        """How far the list goes now, for ``covered``."""
        return os.lseek(self.file, 0, os.SEEK_END)

    def covered(self, position: int) -> None:
        """All files whose lines stand before ``position`` are on disk."""
        self._append({"durable": position})
        os.fsync(self.file)

    def complete(self, result: dict[str, Any]) -> None:
        """The whole copy is on disk."""
        self._append({"complete": result})
        os.fsync(self.file)
        self.result = result

    def close(self) -> None:
        os.close(self.file)

    def _append(self, line: Any) -> None:
        data = json.dumps(line).encode() + b"\n"
        if os.write(self.file, data) != len(data):
            raise OSError(28, os.strerror(28))


def open_ledger(destination: Path, backup: str) -> Ledger:
    """The list of the copy in ``destination``, begun anew where there is none, or where it is another backup's.
    ``backup`` tells one backup from another. Raises OSError."""
    path = destination / LEDGER
    boot = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
    done, result = _read(path, backup, boot)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    ledger = Ledger(path, file, done, result)
    if result is None:
        os.ftruncate(file, 0)
        ledger._append({"backup": backup, "boot": boot})
        for line in done.items():
            ledger._append(line)
        os.fsync(file)
    return ledger


def _read(path: Path, backup: str, boot: str) -> tuple[dict[str, int], dict[str, Any] | None]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}, None
    same_boot = durable = False
    covered = position = 0
    lines: list[tuple[int, str, int]] = []
    result: dict[str, Any] | None = None
    for raw in data.split(b"\n")[:-1]:  # what follows the last newline was torn off
        line: Any = None
        with suppress(ValueError):
            line = json.loads(raw)
        match line:
            case {"backup": str(of), "boot": str(when)}:
                if of != backup:
                    return {}, None
                same_boot, durable = when == boot and boot != "", True
            case {"durable": int(to)}:
                covered = max(covered, to)
            case {"complete": dict(told)}:
                result = told
            case [str(name), int(size)]:
                lines.append((position, name, size))
        position += len(raw) + 1
    if not durable:
        return {}, None
    return {name: size for at, name, size in lines if same_boot or at < covered}, result
