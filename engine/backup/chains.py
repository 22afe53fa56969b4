"""A chain of base backups tried by pg_combinebackup itself, on their skeletons: nothing of it is unpacked."""

import re
from collections.abc import Sequence
from pathlib import Path

from engine.postgres.running import run
from engine.records.copies import BaseBackup
from engine.records.errors import RepriseError
from engine.records.survey import Programs
from engine.transfer.skeleton import write_skeleton

_PROGRAM = "pg_combinebackup"
_SAYS_WHY = re.compile(rf"{_PROGRAM}: (error|detail|hint): ")
COMBINES_FROM = 17  # PostgreSQL 17, which has it


def try_chain(chain: Sequence[BaseBackup], programs: Programs, scratch: Path) -> list[str]:
    """What pg_combinebackup has against a chain, the full backup first; empty where it would combine it. ``scratch``
    is an empty folder. Raises DamagedCopy, Unreachable, RepriseError where it cannot be tried."""
    folders = [scratch / str(number) for number in range(len(chain))]
    for backup, folder in zip(chain, folders, strict=True):
        write_skeleton(backup.path, backup.format, folder)
    try:
        run(programs, _PROGRAM, "--dry-run", "--debug", *folders, "-o", scratch / "combined", timeout=None)
    except RepriseError as problem:
        if not problem.message.startswith(f"{_PROGRAM} failed"):
            raise
        lines = (problem.cause or "").splitlines()  # of which most say what it did
        why = "\n".join(line for line in lines if _SAYS_WHY.match(line)) or lines[-1]
        for backup, folder in zip(chain, folders, strict=True):
            why = why.replace(f"{folder}/", f"{backup.path}/").replace(f'"{folder}"', f'"{backup.path}"')
        return [f"its chain cannot be combined: {' '.join(why.split())}"]
    return []
