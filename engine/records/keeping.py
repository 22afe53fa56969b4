"""Which copies stay and which go."""

from pathlib import Path
from typing import Literal

from msgspec import Struct

KeptKind = Literal["base", "dump", "media", "wal"]


class Verdict(Struct, frozen=True):
    """One copy: stays or goes, and why. ``place``: the second place at which it lies; None: in its own repository."""

    id: str
    kind: KeptKind
    keep: bool
    why: str
    place: str | None = None

    @property
    def told(self) -> str:
        """Why, and where, if that is elsewhere."""
        return self.why if self.place is None else f"{self.why}; at {self.place}"


class Leaving(Struct, frozen=True):
    """One thing that goes: a copy with what stands beside it, or a range of WAL segments. ``bytes`` are what comes
    back on disk: a file that another link keeps gives nothing. At a second place the paths are relative to it."""

    verdict: Verdict
    paths: tuple[Path, ...]
    bytes: int


class Expiry(Struct, frozen=True):
    """What goes and what stays; ``findings`` say where nothing could be judged, and so everything stays."""

    leaving: tuple[Leaving, ...]
    staying: tuple[Verdict, ...]
    findings: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.leaving)
