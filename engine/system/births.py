"""When a folder was made: what tells it from another one that was given its inode afterwards."""

from contextlib import suppress
from pathlib import Path

from engine.records.errors import RepriseError
from engine.system.programs import run_program


def birth_of(path: Path) -> str | None:
    """The time at which a file or folder was made, as statx(2) tells it (stx_btime; Python's os.stat has it not); to be
    compared only. None where it is gone, or the file system does not tell."""
    with suppress(RepriseError):
        told = run_program(["stat", "--format=%w", "--", str(path)]).strip()  # stat(1), GNU coreutils: "-" if unknown
        return told if told and told != "-" else None
    return None
