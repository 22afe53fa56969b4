"""Every page of a cluster read from its files and held against its checksum, as `pg_checksums --check` does it, also
where a server runs on them.

What a server writes at this very moment may be read half new, half old: so what is wrong is read again before it
counts (as basebackup.c does). Behind the gate a wrong page on disk need not stay: replay may hold its mended image in
memory (a page torn while the backup was taken). So whoever asks for the last word reads `again` after the promotion
and its checkpoint.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from engine.formats.control_file import ControlFile
from engine.records.coding import from_json, to_builtins, to_json
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Child, Say, carried
from engine.steps.shared.layout import control_of

_RELATION_FILE = re.compile(r"[0-9]+(?:_(?:fsm|vm|init))?(?:\.([0-9]+))?")  # temporary relations (t3_…) left out
_VERSION_FOLDER = re.compile(r"PG_[0-9]+_[0-9]+")
_CHUNK = 4 << 20  # bytes read at once
_READINGS = 3  # of a page that is wrong, until it counts
_PAUSE = 0.1  # seconds between them; a page is written in microseconds
KEPT = 200  # wrong pages that are named; the others are counted
_LOOK = 0.3  # seconds
_TOLD_EVERY = 100  # of the bytes that there are, or _LOOK: whatever comes first
_DETAIL = "every page's checksum"


class Place(msgspec.Struct, frozen=True):
    """A page: its file, relative to the data directory, and its block number in the relation."""

    file: str
    block: int

    def __str__(self) -> str:
        return f"{self.file} block {self.block}"


class PageReading(msgspec.Struct):
    """What came of it. ``wrong`` names the first KEPT of ``wrong_count`` pages, ``unread`` the files that the machine
    would not read and why, ``total`` the bytes that there are; ``complete`` is False where it was skipped on the way.
    """

    pages: int = 0
    bytes: int = 0
    total: int = 0
    seconds: float = 0.0
    complete: bool = False
    wrong: list[Place] = msgspec.field(default_factory=list)
    wrong_count: int = 0
    unread: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def doubtful(self) -> bool:
        return bool(self.wrong_count or self.unread)


def read_pages(step: RunningStep, data_dir: Path, skipped: Callable[[], bool]) -> PageReading:
    """Read them all, with measured progress; ``skipped`` is asked all the while. Raises Stopped where the operator
    cancels."""
    control, started = control_of(data_dir), time.monotonic()
    done, total = 0, 0

    def hear(line: str) -> None:
        nonlocal done, total
        done, total = json.loads(line)
        step.progress(done, total or None, "bytes", _DETAIL)

    step.progress(0, None, "bytes", _DETAIL)
    with Child(lambda say: to_builtins(_read_all(data_dir, control, say)), hear) as child:
        ended = False
        while not ended and not skipped():
            step.safe_point()
            ended = child.ended(_LOOK)
        reading = reading_of(child.result()) if ended else PageReading()
    return replace(reading, bytes=done, total=total, seconds=round(time.monotonic() - started, 1), complete=ended)


def reading_of(told: Any) -> PageReading:
    """A reading as it comes out of a child, or out of the journal."""
    return from_json(to_json(told), PageReading)


def read_again(step: RunningStep, data_dir: Path, reading: PageReading) -> PageReading:
    """The same reading after what was doubtful in it was read again, from where the cluster stands now. Wrong pages
    beyond those that are named still count."""
    if not reading.doubtful:
        return reading
    control = control_of(data_dir)
    return reading_of(carried(step, lambda say: to_builtins(_read_doubtful(data_dir, control, reading))))


def relation_files(data_dir: Path) -> Iterator[tuple[str, int]]:
    """Each file of pages, relative to the data directory, with its size: main forks and others, of shared relations,
    of each database, in each tablespace. What has no pages is left out, and what is going away."""
    yield from _files(data_dir, "global")
    for database in _folders(data_dir / "base"):
        yield from _files(data_dir, f"base/{database}")
    for tablespace in _folders(data_dir / "pg_tblspc", links=True):
        for version in _folders(data_dir / "pg_tblspc" / tablespace):
            if _VERSION_FOLDER.fullmatch(version):
                for database in _folders(data_dir / "pg_tblspc" / tablespace / version):
                    yield from _files(data_dir, f"pg_tblspc/{tablespace}/{version}/{database}")


def _folders(place: Path, *, links: bool = False) -> list[str]:
    with suppress(FileNotFoundError), os.scandir(place) as entries:
        return sorted(
            entry.name
            for entry in entries
            if not entry.name.startswith("pgsql_tmp") and entry.is_dir(follow_symlinks=links)
        )
    return []


def _files(data_dir: Path, folder: str) -> Iterator[tuple[str, int]]:
    with suppress(FileNotFoundError), os.scandir(data_dir / folder) as entries:
        for entry in entries:
            if _RELATION_FILE.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    yield f"{folder}/{entry.name}", entry.stat(follow_symlinks=False).st_size


def _read_all(data_dir: Path, control: ControlFile, say: Say) -> PageReading:
    """Says how many bytes are read, and how many there are."""
    reading = PageReading()
    files = sorted(relation_files(data_dir))
    total = sum(size for _, size in files)
    said, said_at = 0, 0.0

    def tell(read: int, last: bool = False) -> None:
        nonlocal said, said_at
        reading.bytes += read
        done, now = min(reading.bytes, total), time.monotonic()  # files may grow meanwhile
        if last or (done - said) * _TOLD_EVERY >= total or now - said_at >= _LOOK:
            said, said_at = done, now
            say(json.dumps([done, total]))

    tell(0)
    for name, _ in files:
        _read_file(data_dir, name, control, reading, tell)
    tell(0, last=True)
    return reading


def _read_doubtful(data_dir: Path, control: ControlFile, reading: PageReading) -> PageReading:
    again = replace(reading, wrong=[], wrong_count=reading.wrong_count - len(reading.wrong), unread={})
    for name in sorted({place.file for place in reading.wrong} - set(reading.unread)):
        blocks = [place.block for place in reading.wrong if place.file == name]
        _read_file(data_dir, name, control, again, lambda _: None, blocks)
    for name in reading.unread:
        _read_file(data_dir, name, control, again, lambda _: None)
    return again


def _read_file(
    data_dir: Path,
    name: str,
    control: ControlFile,
    reading: PageReading,
    tell: Callable[[int], None],
    blocks: Sequence[int] | None = None,
) -> None:
    """Add what one file, or these blocks of it, come to."""
    suffix = _RELATION_FILE.fullmatch(Path(name).name)
    first = int(suffix[1]) * control.blocks_per_file if suffix is not None and suffix[1] else 0
    try:
        handle = os.open(data_dir / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # dropped meanwhile
    except OSError as error:
        reading.unread[name] = error.strerror or str(error)
        return
    try:
        size = control.block_size
        wrong = [block - first for block in blocks] if blocks is not None else None
        if wrong is None:
            wrong = []
            for found, pages, read in _chunks(handle, size, first):
                wrong += found
                reading.pages += pages
                tell(read)
        for _ in range(_READINGS - 1):
            if wrong:
                time.sleep(_PAUSE)
                wrong = [block for block in wrong if _still_wrong(handle, size, block, first)]
        reading.wrong_count += len(wrong)
        reading.wrong += [Place(name, first + block) for block in wrong[: max(0, KEPT - len(reading.wrong))]]
    except OSError as error:
        reading.unread[name] = error.strerror or str(error)
    finally:
        os.close(handle)


def _chunks(handle: int, size: int, first: int) -> Iterator[tuple[list[int], int, int]]:
    """Through a file: the wrong blocks of a chunk, counted in this file, its pages, its bytes. A last page that is cut
    off is wrong."""
    import numpy as np  # in the child: the engine never pays for it

    from engine.formats.pages import wrong_pages

    buffer = np.empty(_CHUNK // size * size, np.uint8)
    done = 0
    while read := _fill(handle, memoryview(buffer), done):  # type: ignore[arg-type]
        pages, begin = read // size, done // size
        wrong = wrong_pages(buffer[: pages * size].reshape(pages, size), first + begin) if pages else []
        done += read
        cut_off = [begin + pages] if read % size else []
        yield [begin + page for page in wrong] + cut_off, pages, read
        if cut_off:
            return


def _fill(handle: int, buffer: memoryview, offset: int) -> int:
    """Read into the whole buffer, or up to the file's end."""
    done = 0
    while done < len(buffer) and (read := os.preadv(handle, [buffer[done:]], offset + done)):
        done += read
    return done


def _still_wrong(handle: int, size: int, block: int, first: int) -> bool:
    """A block that is not there any more is not wrong."""
    import numpy as np

    from engine.formats.pages import wrong_pages

    page = np.empty(size, np.uint8)
    read = _fill(handle, memoryview(page), block * size)  # type: ignore[arg-type]
    return bool(read) and (read < size or bool(wrong_pages(page.reshape(1, size), first + block)))
