"""What was kept beside a base backup (``<id>.beside``) for a bare machine: configuration, what the cluster needs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from engine.catalog.files import read_small
from engine.catalog.waiting import PATIENCE, with_patience
from engine.records.errors import DamagedCopy, Unreachable

SUFFIX = ".beside"


class _Database(msgspec.Struct):
    extensions: dict[str, str] = {}


class _Cluster(msgspec.Struct):
    """``cluster.json``, as far as it is wanted here."""

    files: dict[str, str] = {}
    databases: dict[str, _Database] = {}


class Beside(msgspec.Struct, frozen=True):
    """``files``: a copy of a configuration file that lay outside the data directory, and where it lay. ``extensions``
    of all databases, with their versions."""

    files: tuple[tuple[str, str], ...] = ()
    extensions: tuple[str, ...] = ()


def read_beside(backup: Path, patience: float = PATIENCE) -> Beside:
    """Nothing where nothing is beside it, or where that cannot be read."""
    folder = backup.with_name(backup.name + SUFFIX)

    def read(alive: Callable[[], None]) -> Beside:
        told: Any = msgspec.json.decode(read_small(folder / "cluster.json"), type=_Cluster)
        files = tuple((str(folder / Path(name).name), place) for name, place in sorted(told.files.items()))
        found = {f"{name} {version}" for each in told.databases.values() for name, version in each.extensions.items()}
        return Beside(files, tuple(sorted(found)))

    try:
        return with_patience(read, str(folder), patience)
    except (OSError, DamagedCopy, Unreachable, msgspec.DecodeError, ValueError, RecursionError):
        return Beside()
