"""How much of some snapshots lies at or below one path: what a plan for that path counts."""

import heapq
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from engine.media.catalogue import Entry, key_of
from engine.media.sources import Held


@dataclass(frozen=True, slots=True)
class Selected:
    """Files, each path once, and their bytes, of each the largest: an upper bound, as no version is chosen yet."""

    files: int
    bytes: int


def count_selected(held: Sequence[Held], only: bytes) -> Selected:
    """Raises OSError, RepriseError where a snapshot cannot be read."""
    files = size = 0
    with ExitStack() as opened:
        streams = [_below(opened.enter_context(each.files.entries(hashes=False)), key_of(only)) for each in held]
        for _, of_one in groupby(heapq.merge(*streams), key=itemgetter(0)):
            files, size = files + 1, size + max(each for _, each in of_one)
    return Selected(files, size)


def _below(entries: Iterator[Entry], top: bytes) -> Iterator[tuple[bytes, int]]:
    """Keys and sizes of the files there; what comes behind is not read."""
    for entry in entries:
        key = entry.key
        if key == top or key.startswith(top + b"\0"):
            if entry.kind == "f":
                yield key, entry.size
        elif key > top:
            return
