"""How much some snapshots hold together, in all or at and below one path: what a plan counts."""

import heapq
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter

from msgspec import Struct

from engine.media.catalogue import Entry, key_of
from engine.media.sources import Held


class Selected(Struct, frozen=True):
    """Files, each path once, and their bytes, of each the largest: an upper bound, as no version is chosen yet."""

    files: int
    bytes: int


def count_selected(held: Sequence[Held], only: bytes | None, seconds: float) -> Selected | None:
    """At or below ``only``, None: in all of it. None where it takes longer than so many seconds. Raises OSError,
    RepriseError where a snapshot cannot be read."""
    files = size = 0
    until = time.monotonic() + seconds
    with ExitStack() as opened:
        streams = [_below(opened.enter_context(each.files.entries(hashes=False)), only, until) for each in held]
        try:
            for _, of_one in groupby(heapq.merge(*streams), key=itemgetter(0)):
                files, size = files + 1, size + max(each for _, each in of_one)
        except TimeoutError:
            return None
    return Selected(files, size)


def _below(entries: Iterator[Entry], only: bytes | None, until: float) -> Iterator[tuple[bytes, int]]:
    """Keys and sizes of the files there; what comes behind is not read. Raises TimeoutError."""
    top = key_of(only) if only is not None else None
    for count, entry in enumerate(entries):
        if not count & 0xFF and time.monotonic() > until:
            raise TimeoutError
        key = entry.key
        if top is None or key == top or key.startswith(top + b"\0"):
            if entry.kind == "f":
                yield key, entry.size
        elif key > top:
            return
