"""Reading many segments: a few here, many in child processes, a chunk of them at a time."""

import selectors
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from msgspec import Struct, field

from engine.records.copies import WalFile
from engine.wal.children import Child
from engine.wal.reading import SegmentReading
from engine.wal.worker import Wanted, read_file

Read = tuple[WalFile, SegmentReading | None]

_CHUNK_BYTES, _CHUNK_FILES = 16 << 20, 32
_IN_PROCESS_BYTES = 64 << 20  # up to here, starting child processes costs more than it saves
_AHEAD = 2  # chunks that a child has: it need not wait for us
_WAITING = 16  # chunks that are done or being read: one slow file does not let the others run away


class _Chunk(Struct):
    files: list[WalFile] = field(default_factory=list)
    readings: list[SegmentReading | None] | None = None

    def read_here(self) -> None:
        self.readings = [read_file(wanted_of(file)) for file in self.files]


def wanted_of(file: WalFile) -> Wanted:
    return Wanted(file.path, file.timeline, file.number)


def read_files(files: Sequence[WalFile], workers: int, stop: Callable[[], bool] | None) -> Iterator[Read]:
    """Each file's reading, in order; None where it has vanished. ``stop`` is asked between reads and ends it."""
    if not files:  # what reads segments need not even be imported
        return
    if workers < 2 or sum(file.size_bytes for file in files) <= _IN_PROCESS_BYTES:
        from engine.wal.stripped import Room

        room = Room()
        for file in files:
            if stop is not None and stop():
                return
            yield file, read_file(wanted_of(file), room)
        return
    children = [Child() for _ in range(workers)]
    try:
        yield from _read_in_children(children, _chunks(files), stop)
    finally:
        for child in children:
            child.close()


def _chunks(files: Sequence[WalFile]) -> Iterator[_Chunk]:
    chunk, size = _Chunk(), 0
    for file in files:
        chunk.files.append(file)
        size += file.size_bytes
        if size >= _CHUNK_BYTES or len(chunk.files) >= _CHUNK_FILES:
            yield chunk
            chunk, size = _Chunk(), 0
    if chunk.files:
        yield chunk


def _read_in_children(
    children: Sequence[Child], chunks: Iterator[_Chunk], stop: Callable[[], bool] | None
) -> Iterator[Read]:
    order: deque[_Chunk] = deque()
    asked: dict[Child, deque[_Chunk]] = {child: deque() for child in children}
    with selectors.DefaultSelector() as answers:
        for child in children:
            answers.register(child, selectors.EVENT_READ)
        while True:
            for child, own in asked.items():
                while len(own) < _AHEAD and len(order) < _WAITING and (chunk := next(chunks, None)) is not None:
                    order.append(chunk)
                    own.append(chunk)
                    child.ask([wanted_of(file) for file in chunk.files])
            if not asked and (chunk := next(chunks, None)) is not None:
                order.append(chunk)
                chunk.read_here()
            if not order:
                return
            for key, _ in answers.select() if asked else ():
                child = cast(Child, key.fileobj)
                try:
                    readings = child.answer()
                    asked[child].popleft().readings = readings
                except EOFError:  # it was killed: go on without it
                    answers.unregister(child)
                    for chunk in asked.pop(child):
                        chunk.read_here()
            while order and order[0].readings is not None:
                chunk = order.popleft()
                yield from zip(chunk.files, chunk.readings or (), strict=True)
                if stop is not None and stop():
                    return
