"""Limits of this process, lowered for a while: what a write meets that has no room, an open that has no handle left."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def limited(what: int, least: int) -> Iterator[None]:
    before = resource.getrlimit(what)
    resource.setrlimit(what, (least, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)
