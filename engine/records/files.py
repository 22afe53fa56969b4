"""What a plan that brings users' files back says of them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from engine.records.copies import MediaSnapshot


class Files(Struct, frozen=True):
    """The users' files as they shall be at ``moment`` (UTC; None: as the newest snapshot has them), from ``snapshots``.
    All paths absolute.

    ``place``: ``beside`` builds a whole new folder in ``building`` and swaps it in by rename, the old one becomes
    ``set_aside``; ``delta`` changes only what differs in the live folder, with ``building`` for the files on their way
    and ``set_aside`` for what is moved out (the quarantine); ``into`` fills the absent or empty folder ``folder``, and
    nothing is set aside. ``folder`` is where the files stand in the end.

    ``asked`` says whose database narrows the choice to what it refers to: the one that waits at the ``gate``, the
    ``live`` one, or none (None: the union of the snapshots is taken). ``only``: nothing but this path (relative to the
    media folder) and what lies below it. ``fast``: size and time are trusted where a hash would be exact.
    ``reserve`` are other snapshots, in which what these do not have, or have damaged, is sought before it counts as
    lost; ``earlier`` are folders into which earlier runs moved files of the live one, the newest first: sought through
    last, and only read. ``files`` and ``bytes`` are upper bounds, None where a snapshot does not tell.
    """

    moment: datetime | None
    snapshots: tuple[MediaSnapshot, ...]
    place: Literal["beside", "delta", "into"]
    live: str
    folder: str
    building: str
    set_aside: str | None
    asked: Literal["gate", "live"] | None
    fast: bool = False
    only: str | None = None
    files: int | None = None
    bytes: int | None = None
    reserve: tuple[MediaSnapshot, ...] = ()
    earlier: tuple[str, ...] = ()


def not_right(told: Mapping[str, Any]) -> int:
    """Of what a run tells of its files: how many its last check found missing or wrong, besides those that nobody
    has."""
    checked = told.get("check") or {}
    return int(checked.get("missing", 0)) + int(checked.get("wrong", 0))
