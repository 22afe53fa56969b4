"""The recoveries that a state folder knows of: its runs, and the drills in ``drills/`` (``recovery.json``)."""

from contextlib import suppress
from pathlib import Path

import msgspec

from engine.records.coding import from_json
from engine.records.errors import RepriseError
from engine.records.recoveries import Recovery
from engine.recovery.recoveries import in_order
from engine.run.folder import PLAN, newest_runs, read_run

DRILLS, RECOVERY = "drills", "recovery.json"


_NONE = msgspec.Raw(b"null")


class _Aim(msgspec.Struct):
    """A plan, as far as it tells whether it takes a copy: those runs are many, and read in a tenth of the time."""

    copying: msgspec.Raw = _NONE


def recoveries(state: Path, newest: int | None = None) -> tuple[Recovery, ...]:
    """All of them, or the ``newest`` ones, oldest first. What cannot be read is passed over: `runs` and the drills
    themselves name it."""
    found: list[Recovery] = []
    for folder in newest_runs(state):
        if newest is not None and len(found) >= newest:
            break
        if _takes_a_copy(folder):
            continue
        with suppress(RepriseError):
            recovery = read_run(folder).recovery
            found += [recovery] if recovery is not None else []
    for path in sorted((state / DRILLS).glob(f"*/{RECOVERY}"), reverse=True)[:newest]:
        with suppress(OSError, ValueError, msgspec.DecodeError):
            found.append(from_json(path.read_bytes(), Recovery))
    every = in_order(found)
    return every if newest is None else every[-newest:]


def _takes_a_copy(folder: Path) -> bool:
    try:
        return msgspec.json.decode((folder / PLAN).read_bytes(), type=_Aim).copying != _NONE
    except (OSError, msgspec.DecodeError):
        return False
