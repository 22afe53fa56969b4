"""The files of a WAL archive: listed fast, by name; flat, or nested as Barman (``<16 digits>/<segment>``) and
pgBackRest (``<archive id>/<16 digits>/<segment>-<SHA-1>.<zst>``) nest them."""

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from struct import Struct
from struct import error as StructError

import msgspec

from engine.catalog.files import read_unpacked
from engine.catalog.segments import Rows, SegmentFiles
from engine.formats.backup_label import BackupHistory, read_backup_history
from engine.formats.history_file import read_history
from engine.records.copies import Compression, Problem
from engine.records.errors import DamagedCopy
from engine.transfer.naming import shown
from engine.transfer.opening import compression_of

_PACKED: dict[str, Compression] = {".gz": "gzip", ".lz4": "lz4", ".zst": "zstd"}
_OTHER_PACKING = (".bz2", ".xz", ".lzo", ".snappy")

# Unfinished: ``.partial.gz`` from an archive command that packs, ``.gz.partial`` from pg_receivewal.
_SEGMENT = re.compile(r"([0-9A-F]{24})(?:-[0-9a-f]{40})?(\.partial)?(\.gz|\.lz4|\.zst)?(?(2)|(\.partial)?)\Z")
_UNSUPPORTED = re.compile(r"[0-9A-F]{24}(?:-[0-9a-f]{40})?(?:\.partial)?(\.bz2|\.xz|\.lzo|\.snappy)\Z")
_HISTORY = re.compile(r"([0-9A-F]{8})\.history(\.gz|\.lz4|\.zst)?\Z")
_BACKUP = re.compile(r"([0-9A-F]{24}\.[0-9A-F]{8}\.backup)(?:-[0-9a-f]{40})?(\.gz|\.lz4|\.zst)?\Z")
_FOLDER = re.compile(r"[0-9A-F]{16}\Z|\d{1,2}-\d+\Z")  # WAL of one timeline and "log"; pgBackRest's archive id
_BOOKS = re.compile(r"xlog\.db|archive\.info(\.copy)?|\..*")  # Barman's and pgBackRest's own; hidden ones

_LONG_HEADER = Struct("=HHIQI4xQII")  # XLogLongPageHeaderData: magic, info, TLI, address, rest; id, segment, page
_IS_LONG = 0x0002  # XLP_LONG_HEADER
_SNIFFED = 64  # files of an odd size and no suffix that are opened to see how they are packed


class ArchiveListing(msgspec.Struct):
    """What a WAL folder holds. ``backup_histories`` are the paths of ``.backup`` files by their plain name."""

    segments: Rows = msgspec.field(default_factory=Rows)
    history_files: dict[int, Path] = msgspec.field(default_factory=dict)
    backup_histories: dict[str, Path] = msgspec.field(default_factory=dict)
    ignored: Counter[str] = msgspec.field(default_factory=Counter)
    problems: list[Problem] = msgspec.field(default_factory=list)


class WalOrigin(msgspec.Struct, frozen=True):
    """What the segments' own first pages say of the whole archive."""

    segment_size: int | None
    system_identifier: int | None


def list_archive(root: Path, alive: Callable[[], None]) -> ArchiveListing:
    """List the archive; nothing is opened. Raises OSError where ``root`` itself cannot be listed."""
    listing = ArchiveListing()
    folders = [(os.fspath(root), 0)]
    while folders:
        folder, depth = folders.pop()
        try:
            listing.segments.folders.append(folder)
            _list_folder(folder, depth, folders, listing, alive)
        except OSError as error:
            if depth == 0:
                raise
            listing.problems.append(Problem(shown(folder), f"cannot be listed: {error.strerror}"))
    listing.segments.rows.sort()
    for suffix, count in sorted(listing.ignored.items()):
        if suffix in _OTHER_PACKING:
            listing.problems.append(
                Problem(
                    shown(root),
                    f"{count} segments packed as {suffix} cannot be read",
                    "unpack them, or pack them anew with gzip, lz4 or zstd",
                )
            )
        elif suffix == "strange":
            listing.problems.append(Problem(shown(root), f"{count} files are no WAL and were ignored"))
    return listing


def _list_folder(
    folder: str, depth: int, folders: list[tuple[str, int]], listing: ArchiveListing, alive: Callable[[], None]
) -> None:
    add, match = listing.segments.add, _SEGMENT.match
    with os.scandir(folder) as entries:
        for count, entry in enumerate(entries):
            if count % 512 == 0:
                alive()
            name = entry.name
            found = match(name)
            if found is None:
                if not _other(entry, depth, folders, listing):
                    listing.ignored["strange"] += 1
                continue
            try:
                status = entry.stat()
            except OSError as error:
                what = "a link that leads nowhere" if entry.is_symlink() else f"cannot be read: {error.strerror}"
                listing.problems.append(Problem(entry.path, what))
                continue
            if not stat.S_ISREG(status.st_mode):
                listing.problems.append(Problem(entry.path, "has a segment's name but is no file"))
                continue
            add(found[1], name[24:], ".partial" in name, status)
    alive()


def _other(entry: "os.DirEntry[str]", depth: int, folders: list[tuple[str, int]], listing: ArchiveListing) -> bool:
    """Sort in what is no segment; False for a name that nobody expects in an archive."""
    name = entry.name
    if found := _HISTORY.match(name):
        listing.history_files.setdefault(int(found[1], 16), Path(entry.path))
    elif found := _BACKUP.match(name):
        listing.backup_histories.setdefault(found[1], Path(entry.path))
    elif _FOLDER.match(name) and depth < 2 and entry.is_dir():
        folders.append((entry.path, depth + 1))
    elif found := _UNSUPPORTED.match(name):
        listing.ignored[found[1]] += 1
    elif _BOOKS.fullmatch(name) or re.match(r"[0-9A-F]{8,24}\b|.*(\.tmp|\.part|\.ready|\.done|~)\Z", name):
        listing.ignored["unfinished"] += 1  # a copy in the making, a book of its keeper
    else:
        return False
    return True


def find_origin(listing: ArchiveListing) -> WalOrigin:
    """Segment size and system identifier, from the first pages of a few segments; the majority counts."""
    files = listing.segments
    ordered = [row for row in files.rows if not files.segment(row).partial]
    picks = {0, len(ordered) // 4, len(ordered) // 2, 3 * len(ordered) // 4, len(ordered) - 2, len(ordered) - 1}
    votes: Counter[tuple[int, int]] = Counter()
    for place in sorted(picks):
        if 0 <= place < len(ordered) and (vote := _first_page(files.path(ordered[place]))) is not None:
            votes[vote] += 1
    if votes:
        (size, identifier), _ = votes.most_common(1)[0]
        return WalOrigin(size, identifier)
    return WalOrigin(None, None)


def _first_page(path: str) -> tuple[int, int] | None:
    try:
        head = read_unpacked(Path(path), _LONG_HEADER.size)
        magic, info, timeline, _address, _rest, identifier, segment_size, page_size = _LONG_HEADER.unpack_from(head)
    except (OSError, DamagedCopy, StructError):
        return None
    right = magic >> 8 == 0xD1 and info & _IS_LONG and timeline and page_size == 8192
    power = segment_size & (segment_size - 1) == 0 and 1 << 20 <= segment_size <= 1 << 30
    return (segment_size, identifier) if right and power else None


def wal_files(listing: ArchiveListing, segment_size: int) -> tuple[SegmentFiles, list[Problem]]:
    """The segments as records, in the order of their names; and what is said of names that do not fit."""
    per_id = 0x1_0000_0000 // segment_size
    found, fitting = listing.segments, Rows(listing.segments.folders)
    packed: list[Compression | None] = []
    wrong: list[bytes] = []
    guess = _Guess()
    for row in found.rows:
        segment = found.segment(row)
        if segment.low >= per_id or segment.timeline == 0:
            wrong.append(row)
            continue
        fitting.rows.append(row)
        compression = _PACKED.get(found.suffix(row))
        if compression is None and found.status(row)[0] != segment_size and not segment.partial:
            compression = guess.compression(found.path(row))
        packed.append(compression)
    problems = []
    if wrong:
        problems.append(
            Problem(
                found.path(wrong[0]),
                f"{len(wrong)} names do not fit segments of {segment_size} bytes: of another cluster?",
            )
        )
    again = fitting.twice()
    if again:
        problems.append(
            Problem(
                found.path(again[0]), f"{len(again)} segments lie in the archive more than once; one of each is used"
            )
        )
    return SegmentFiles(fitting, segment_size, packed), problems


class _Guess:
    """How files without a suffix are packed, as Barman keeps them: a few are opened, the others are like them."""

    def __init__(self) -> None:
        self._seen: Counter[Compression | None] = Counter()

    def compression(self, path: str) -> Compression | None:
        if len(self._seen) == 1 and self._seen.total() >= _SNIFFED:
            return next(iter(self._seen))
        kind: Compression | None = None
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb", buffering=0) as file:
                kind = compression_of(file.read(4))
        except OSError:
            return None
        self._seen[kind] += 1
        return kind


def read_histories(listing: ArchiveListing) -> dict[int, str]:
    """The texts of readable history files by timeline; the others become problems."""
    texts: dict[int, str] = {}
    for timeline, path in sorted(listing.history_files.items()):
        try:
            text = read_unpacked(path).decode("utf-8", "replace")
            read_history(text, timeline)
        except DamagedCopy as error:
            listing.problems.append(Problem(str(path), error.message))
        except OSError as error:
            listing.problems.append(Problem(str(path), f"cannot be read: {error.strerror}"))
        else:
            texts[timeline] = text
    return texts


def read_backup_histories(listing: ArchiveListing, names: Iterable[str]) -> dict[str, BackupHistory]:
    """Those of these backup history files that the archive holds, by name; unreadable ones become problems."""
    found: dict[str, BackupHistory] = {}
    for name in names:
        path = listing.backup_histories.get(name)
        if path is None:
            continue
        try:
            found[name] = read_backup_history(read_unpacked(path).decode("utf-8", "replace"))
        except DamagedCopy as error:
            listing.problems.append(Problem(str(path), error.message))
        except OSError as error:
            listing.problems.append(Problem(str(path), f"cannot be read: {error.strerror}"))
    return found
