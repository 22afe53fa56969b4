"""What a check may look at, and how it answers. All of it was read before; a check only thinks."""

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct, field

from engine.records.copies import UnfinishedSegment
from engine.records.plan import Check, Destination, Layout
from engine.records.survey import FileSystem, Survey
from engine.records.target import RecoveryPoint, RecoveryTarget


class WalFacts(Struct, frozen=True):
    """What the WAL index and the repository know of the WAL that a recovery needs. ``None`` is what is unknown.

    ``system_identifier``: whose archive it is. ``compression``: methods of compressed page images
    (pglz, lz4, zstd). ``overflowed``: whether the running transactions at the backup's start had overflowed.
    ``history_files``: the timelines that have a ``.history`` file, ``timelines`` those that have any file.
    """

    system_identifier: int | None = None
    compression: tuple[str, ...] | None = None
    overflowed: bool | None = None
    unfinished: tuple[UnfinishedSegment, ...] = ()
    history_files: tuple[int, ...] | None = None
    timelines: tuple[int, ...] = ()


class Question(Struct, frozen=True):
    """One planned recovery and everything known of it. ``layout`` and ``point`` are None where there is none yet."""

    target: RecoveryTarget
    point: RecoveryPoint | None
    survey: Survey
    destination: Destination
    layout: Layout | None
    wal: WalFacts = field(default_factory=WalFacts)
    pauses: bool = False
    reads_pages: bool = True

    @property
    def in_place(self) -> bool:
        return self.destination.kind == "in-place"

    def file_system(self, path: str) -> FileSystem | None:
        """The file system on which a path lies or would lie."""
        above = [each for each in self.survey.file_systems if path == each.path or path.startswith(_slash(each.path))]
        return max(above, key=lambda each: len(each.path), default=None)


AskCheck: TypeAlias = Callable[[Question], Check | None]


def _slash(path: str) -> str:
    return path if path.endswith("/") else path + "/"


def refuse(name: str, ok: bool | None, finding: str, remedy: str | None = None) -> Check:
    return Check(name, "refuse", ok, finding, None if ok else remedy)


def warn(name: str, ok: bool | None, finding: str, remedy: str | None = None) -> Check:
    return Check(name, "warn", ok, finding, None if ok else remedy)


def inform(name: str, finding: str, *, ok: bool | None = True, remedy: str | None = None) -> Check:
    """``ok`` None: nothing can be said before it happens."""
    return Check(name, "info", ok, finding, remedy)


def size_words(size: int) -> str:
    """Bytes for people: ``18.8 GiB``."""
    amount = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
