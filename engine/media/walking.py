"""A folder's entries in a catalogue's order: component by component, as bytes. No link is followed."""

import os
from collections.abc import Iterator


def walk(root: bytes) -> Iterator[tuple[bytes, os.DirEntry[bytes]]]:
    """Each entry below ``root`` with its path from there; a folder stands before what it holds. What vanishes meanwhile
    is left out. Raises OSError."""
    stack = [(b"", iter(_sorted(root)))]
    while stack:
        above, entries = stack[-1]
        entry = next(entries, None)
        if entry is None:
            stack.pop()
            continue
        path = above + entry.name
        yield path, entry
        if entry.is_dir(follow_symlinks=False):
            try:
                stack.append((path + b"/", iter(_sorted(entry.path))))
            except FileNotFoundError:
                continue


def _sorted(folder: bytes) -> list[os.DirEntry[bytes]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)
