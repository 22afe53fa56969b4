"""What stands at a second place, by one listing; how much of it would come back; and what leaves it.

Everything leaves as in the first place (`engine/keeping/expiring.py`): a copy is renamed to a name with a dot, then
what stands beside it, and only then deleted; what an interruption leaves is known by that name and deleted the next
time.
Names there are whatever somebody put there: none is ever part of a command's own text.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from engine.remote.places import RemotePlace
from engine.remote.rsync import run_rsync, unescaped

DOOMED, DRAFT = ".expired-", ".draft-"
SUFFIX = "[0-9a-f]" * 8  # each push has one of its own; a pattern for the shell, fnmatch and rsync
HALF_SENT = f"{DRAFT}*~{SUFFIX}"

_LISTED = re.compile(r"(.)\S+\s+(\d+) \S+ \S+ (.*)", re.DOTALL)  # rsync(1), --list-only; a link's target behind " -> "

# Deletes what ``clear`` is told, also what lies in folders that may not be written.
_CLEAR = (
    'clear() { test -L "$1" || test ! -d "$1" || find "$1" -xdev -type d ! -perm -700 -exec chmod u+rwx {} \\; || '
    'return; rm -rf -- "$1"; }; cd -- "$1" || exit; shift; '
)
# A copy (the first name) and what stands beside it: out of sight, on disk, then deleted, the copy last.
_TAKE_AWAY = _CLEAR + (
    'for name; do clear "./.expired-$name" && { test ! -e "./$name" || mv -nT -- "./$name" "./.expired-$name"; } && '
    'test ! -e "./$name" || exit 1; done; { sync -f . 2>/dev/null || sync; }; '
    'copy=$1; shift; for name; do clear "./.expired-$name" || exit; done; clear "./.expired-$copy"'
)
_REMOVE = _CLEAR + 'for name; do clear "./$name" || exit; done'
_REMOVE_FILES = 'cd -- "$1" && xargs -0 rm -f --'
_MEASURE = 'cd -- "$1" || exit; shift; find "$@" ! -type d -printf "%D:%i %n %b %H\\n" -o -printf "%D:%i 1 %b %H\\n"'


class Standing(NamedTuple):
    """One name: ``kind`` is a letter as ls(1) has it, ``size`` in bytes."""

    kind: str
    size: int


class FileThere(NamedTuple):
    """One file of a copy: which one it is on that server's disks, how many links it has, what it occupies there."""

    key: str
    links: int
    size: int


def list_there(place: RemotePlace, folders: Sequence[str], trees: Sequence[str] = ()) -> dict[str, Standing]:
    """What stands in these folders below a place (``""``: in itself), by path; all that is below ``trees``. Raises
    Unreachable, RepriseError, also where the place itself is not there."""
    rules: list[str] = []
    for name in (*folders, *trees):
        deep = "**" if name in trees else "*"
        rules += [f"--include=/{name}/", f"--include=/{name}/{deep}"] if name else ["--include=/*"]
    words = ["--list-only", "--no-human-readable", "--recursive", *rules, "--exclude=*"]
    found: dict[str, Standing] = {}

    def hear(line: str) -> None:
        if told := _LISTED.match(line):
            found[unescaped(told[3])] = Standing(told[1], int(told[2]))

    run_rsync(words, [], f"{place.for_rsync}/", place, lambda done: None, hear)
    return found


def measure(place: RemotePlace, folder: str, names: Sequence[str]) -> dict[str, list[FileThere]]:
    """Every file at or below these names. Raises Unreachable, RepriseError, also where that server's find(1) is one
    that cannot tell."""
    found: dict[str, list[FileThere]] = {name: [] for name in names}

    def hear(line: str) -> None:
        key, links, blocks, start = line.split(" ", 3)
        found[start.removeprefix("./")].append(FileThere(key, int(links), int(blocks) * 512))

    words = [f"./{name}" for name in names]
    place.run("sh", "-c", _MEASURE, "sh", place.below(folder).path, *words, timeout=None, on_line=hear)
    return found


def take_away(place: RemotePlace, folder: str, copy: str, *beside: str) -> None:
    """Delete a copy, and what stands beside it; also what is left of such a deletion. Raises Unreachable,
    RepriseError."""
    place.run("sh", "-c", _TAKE_AWAY, "sh", place.below(folder).path, copy, *beside, timeout=None)


def remove_hidden(place: RemotePlace, folder: str, names: Iterable[str]) -> None:
    """Delete what was never a copy, or is none any more, by its own name with a dot. Raises Unreachable,
    RepriseError."""
    hidden = [name for name in names if name.startswith((DOOMED, DRAFT))]
    if hidden:
        place.run("sh", "-c", _REMOVE, "sh", place.below(folder).path, *hidden, timeout=None)


def remove_files(place: RemotePlace, folder: str, names: Iterable[str]) -> None:
    """Delete files, in this order. Raises Unreachable, RepriseError."""
    listed = b"".join(name.encode("utf-8", "surrogateescape") + b"\0" for name in names)
    if listed:
        place.run("sh", "-c", _REMOVE_FILES, "sh", place.below(folder).path, timeout=None, input=listed)
