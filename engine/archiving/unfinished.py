"""Unfinished segments of an archive (``.partial``): what each of them would add to its unbroken WAL.

pg_receivewal writes a segment under such a name until it is full, and a server that was promoted archives so the last
segment of the timeline that it left. Whether one continues the archive is not for its name to say: it is read together
with the segment before it, record by record, as the archive is.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from engine.records.copies import UnfinishedSegment, WalFile
from engine.records.errors import DamagedCopy
from engine.records.history import Piece, SegmentRun
from engine.records.lsn import Lsn, SegmentName, parse_segment, segment_of
from engine.transfer.opening import compression_of, read_blocks
from engine.wal.files import read_beginning
from engine.wal.index import WalIndex
from engine.wal.pages import LARGEST_SEGMENT, DamagedPage, FirstPage, read_first_page
from engine.wal.worker import Wanted, read_file

_STREAM = re.compile(r"\d{1,2}-\d+\Z")  # pgBackRest's folders are named so too; it keeps a book beside them

Stamp: TypeAlias = tuple[int, int, int]  # inode, size, mtime in ns


class Unfinished(Struct, frozen=True):
    """One that was read. ``contents`` is its file, or what could be unpacked of it, when it had ``stamp``; ``sound``
    bytes of that are WAL, of a segment of ``size``. ``before`` is the file of the segment that it continues."""

    told: UnfinishedSegment
    contents: Path
    stamp: Stamp
    sound: int = 0
    size: int = 0
    system_identifier: int = 0
    before: Path | None = None


class _Left(Exception):
    """It is not adopted; the message says why."""


def read_unfinished(
    index: WalIndex, archive: str, backups: Iterable[tuple[int, Lsn]], scratch: Path
) -> Iterator[Unfinished]:
    """Every unfinished segment that the index has seen in an archive. ``backups`` are the timelines and LSNs at which
    those of this archive start: before the first segment of a stream there is no other. ``scratch``: a folder for what
    is unpacked and indexed."""
    starts = list(backups)
    for number, path in enumerate(index.unfinished()):
        room = scratch / str(number)
        room.mkdir()
        segment = path.name[:24]
        told = UnfinishedSegment(path, archive, segment, int(segment[:8], 16))
        try:
            stamp = stamp_of(path)
            contents, page = _laid_out(path, room)
            _refuse_foreign(index, page)
            yield _judge(index, Unfinished(told, contents, stamp), page, starts, room)
        except _Left as why:
            yield Unfinished(replace(told, why_not=str(why)), path, (0, 0, 0))
        except OSError as problem:
            yield Unfinished(replace(told, why_not=f"it cannot be read: {problem.strerror}"), path, (0, 0, 0))


def shortened(index: WalIndex, scratch: Path) -> Iterator[tuple[Path, Path]]:
    """The adopted segments that end before the unfinished file beside them does, each with that: they are damaged.
    Raises OSError."""
    beside = {(path.parent, path.name[:24]): path for path in index.unfinished()}
    for number, (path, valid_to) in enumerate(index.adopted()):
        source = beside.get((path.parent, path.name))
        room = scratch / f"adopted-{number}"
        room.mkdir()
        with suppress(_Left, FileNotFoundError):
            if source is not None:
                contents, page = _laid_out(source, room)
                reading = read_file(Wanted(os.fspath(contents), *parse_segment(path.name, page.segment_size)))
                if reading is not None and reading.valid_to > valid_to:
                    yield path, source


def stamp_of(path: Path) -> Stamp:
    """Changes when somebody writes it. Raises OSError."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _laid_out(path: Path, room: Path) -> tuple[Path, FirstPage]:
    """A segment's worth of what the file holds, zeroed behind that, and its first page; the file itself where it is
    that already. A packed one has no end yet: all that can be unpacked counts. Raises _Left, OSError."""
    with path.open("rb", buffering=0) as file:
        plain = compression_of(file.read(4)) is None
        file.seek(0)
        page = _first_page(path) if plain else None
        if page is not None and path.stat().st_size >= page.segment_size:
            return path, page
        whole = room / path.name[:24]
        with whole.open("wb") as writing, suppress(DamagedCopy):
            for block in read_blocks(path, file):
                writing.write(block)
                if writing.tell() > LARGEST_SEGMENT:
                    break
    page = _first_page(whole)
    if whole.stat().st_size < page.segment_size:  # else a page that is not all there would not be read
        os.truncate(whole, page.segment_size)
    return whole, page


def _first_page(path: Path) -> FirstPage:
    try:
        return read_first_page(read_beginning(path))
    except DamagedPage as error:
        raise _Left(str(error)) from None


def _judge(
    index: WalIndex, found: Unfinished, page: FirstPage, backups: Sequence[tuple[int, Lsn]], room: Path
) -> Unfinished:
    """Raises _Left, OSError."""
    told, size = found.told, page.segment_size
    try:
        name = parse_segment(told.segment, size)
    except ValueError as error:
        raise _Left(str(error)) from None
    if index.segment_file(*name) is not None:
        raise _Left("the whole segment is in the archive")
    if not _is_ours(told.path.parent, Path(told.archive)):
        raise _Left("another program keeps this archive, in folders of its own: only that program can finish it")
    before = index.segment_file(name.timeline, name.number - 1)
    low = _low(index, name, size, backups)
    with closing(WalIndex.open(room / "index.sqlite")) as own:
        files = [*_files_before(index, name), _file(found.contents, name)]
        own.refresh(files, {}, system_identifier=page.system_identifier, workers=1)
        run = next((run for run in own.runs(name.timeline) if run.first <= name.number <= run.last), None)
        what = next((each.what for each in own.damaged() if each.where == str(found.contents)), None)
        if run is None or (before is not None and run.first == name.number):
            raise _Left(what or f"it does not continue {_text(name, size, -1)}")
        low = _not_elsewhere(index, name, size, low)
        piece = Piece(name.timeline, low, run.valid_to)
        if run.valid_to <= low or own.last_end(piece) is None:
            raise _Left("no transaction ends in it that the archive has not" + _because(what))
        told = replace(
            told,
            end_lsn=run.valid_to,
            commits=own.count(piece),
            last_commit_at=own.edge_commit_at(piece, backwards=True),
            ended_by=what
            if what is not None and _holds_more(found.contents, run.valid_to - name.number * size)
            else None,
        )
        return replace(
            found,
            told=told,
            sound=_sound(run, name.number * size, size),
            size=size,
            system_identifier=page.system_identifier,
            before=before,
        )


def _is_ours(folder: Path, archive: Path) -> bool:
    """Whether segments in this folder are written by the server or by `archiving stream` (`stream_folder`)."""
    own = folder.parent == archive and _STREAM.match(folder.name) and not (archive / "archive.info").exists()
    return folder == archive or bool(own)


def _refuse_foreign(index: WalIndex, page: FirstPage) -> None:
    """Raises _Left where it is none of this archive's."""
    own = index.system_identifier
    if own is not None and page.system_identifier != own:
        raise _Left(f"it belongs to another cluster (system identifier {page.system_identifier})")
    if own is not None and page.segment_size != index.segment_size:
        raise _Left(f"its segment size is {page.segment_size}, that of the others {index.segment_size}")


def _low(index: WalIndex, name: SegmentName, size: int, backups: Sequence[tuple[int, Lsn]]) -> Lsn:
    """Where the WAL ends that it continues: the segment before it, the fork of its timeline, or the start of a backup.
    Raises _Left."""
    timeline, number = name
    run = next((run for run in index.runs(timeline) if run.first <= number - 1 <= run.last), None)
    if run is not None:
        return run.valid_to
    if index.segment_file(timeline, number - 1) is not None:
        raise _Left(f"{_text(name, size, -1)} before it is damaged")
    fork = _fork(index, name, size)
    if fork is not None:
        return fork
    started = [lsn for of_timeline, lsn in backups if of_timeline == timeline and segment_of(lsn, size) == number]
    if started:
        return min(started)
    raise _Left(f"it continues nothing: {_text(name, size, -1)} is not in the archive")


def _fork(index: WalIndex, name: SegmentName, size: int) -> Lsn | None:
    """Where its timeline begins, if that is in this segment and the archive leads there."""
    known = index.timelines()
    line = known.get(name.timeline)
    first = line.fork_lsn if line is not None else None
    while line is not None and line.parent is not None and line.fork_lsn is not None:
        if segment_of(line.fork_lsn, size) != name.number:
            return None
        if any(index.segment_file(line.parent, number) is not None for number in (name.number, name.number - 1)):
            return first
        line = known.get(line.parent)
    return None


def _not_elsewhere(index: WalIndex, name: SegmentName, size: int, low: Lsn) -> Lsn:
    """Up to a fork in it, a younger timeline's segment holds the same."""
    forks = [
        line.fork_lsn
        for line in index.timelines().values()
        if line.parent == name.timeline and line.fork_lsn is not None
        if segment_of(line.fork_lsn, size) == name.number and index.segment_file(line.id, name.number) is not None
    ]
    return max([low, *forks])


def _files_before(index: WalIndex, name: SegmentName) -> Iterator[WalFile]:
    """The segments before it, as many as a record that reaches into it may need."""
    if index.segment_file(name.timeline, name.number - 1) is None:
        return
    for number in range(index.record_border(name.timeline, name.number - 1), name.number):
        path = index.segment_file(name.timeline, number)
        if path is not None:
            yield _file(path, SegmentName(name.timeline, number))


def _file(path: Path, name: SegmentName) -> WalFile:
    status = path.stat()
    return WalFile(os.fspath(path), *name, None, status.st_size, status.st_mtime_ns, status.st_ino)


def _sound(run: SegmentRun, base: Lsn, size: int) -> int:
    """Its sound bytes: all of it where nothing in it is damaged, a record that goes on behind it included."""
    return size if run.stopped_by is None else run.valid_to - base


def _holds_more(contents: Path, sound: int) -> bool:
    """Whether anything stands behind its sound WAL: what is damaged, or a record that was not received to its end."""
    with contents.open("rb", buffering=0) as file:
        file.seek(sound)
        return any(block.strip(b"\0") for block in iter(lambda: file.read(1 << 20), b""))


def _text(name: SegmentName, size: int, step: int) -> str:
    return SegmentName(name.timeline, name.number + step).text(size)


def _because(what: str | None) -> str:
    return f" ({what})" if what is not None else ""
