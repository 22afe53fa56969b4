"""A content that does not stand where it should: sought by its hash in every snapshot, in the live folder and in what
earlier runs have set aside, under any name, before it counts as lost."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

from engine.media.catalogue import Entry, key_of, path_of
from engine.media.choices import LIVE, Choices, Lost, Wanted
from engine.media.hashing import hash_files
from engine.media.snapshot import entry_of
from engine.media.sources import Held
from engine.records.errors import RepriseError

# What is told of files, after "files that".
MOVED = "were found under another name, by their content"
IN_ANOTHER = "were taken from another snapshot, as those of the moment do not have them, or have them damaged"
BY_NAME = "were taken from another snapshot, by their name alone: their content may be another"
SET_ASIDE = "were taken from what an earlier run has set aside, as no snapshot has them"
SET_ASIDE_BY_NAME = f"{SET_ASIDE}, by their name alone: their content may be another"
IN_THE_WAY = "cannot be put back, as a file stands where their folder must"
# Why something is lost.
ANOTHER_ASIDE = "no snapshot has it, and what an earlier run set aside under its name has another content"
_PAGE = 5000  # rows that are read at once, files that are hashed at once
# Where no size is known each file would have to be read: that is done for the snapshots of the moment only.
_OF_THIS_SIZE = "SELECT EXISTS (SELECT 1 FROM lost WHERE sha256 IS NOT NULL AND (size = ? OR size IS NULL AND ?))"

Say = Callable[[int], None]


def find_in_snapshots(choices: Choices, held: Sequence[Held], say: Say = lambda entries: None) -> int:
    """Want what is lost from wherever a snapshot has it; from where another content stood than should (``tried``),
    nothing is taken. Returns how many were found. ``say`` hears entries looked at.

    Of a snapshot that knows no hashes, but can be read directly, those files are hashed that have the size of what is
    lost. Where it must be fetched, or where nobody knows the hash of what is lost, its own name is sought, its size,
    and its time as far as that is known: whether the content is right is seen when it is copied. What earlier runs have
    set aside comes last in ``held``. A snapshot that cannot be read is told, and left out."""
    if not choices.number("SELECT EXISTS (SELECT 1 FROM lost)"):
        return 0
    for index in ("lost_by_content ON lost (sha256)", "lost_by_size ON lost (size)"):
        choices.ask(f"CREATE INDEX IF NOT EXISTS {index}")
    found = _find_in_wanted(choices, held)
    for number, each in enumerate(held):
        try:
            with each.files.entries(hashes=not each.in_reserve) as entries:
                found += _seek_in(choices, number, each, entries, say)
        except (OSError, RepriseError) as problem:
            what = each.snapshot.id if each.set_aside else f"snapshot {each.snapshot.id}"
            choices.find(f"{what} could not be looked through for what is lost: {problem}")
    return found


def _find_in_wanted(choices: Choices, held: Sequence[Held]) -> int:
    """What is wanted under another name may have this content: whether it does is seen when it is copied."""
    choices.ask("CREATE TEMP TABLE IF NOT EXISTS same (lost BLOB PRIMARY KEY, wanted BLOB) WITHOUT ROWID")
    choices.ask("DELETE FROM same")
    choices.ask(  # the lost ones have an index by their content
        "INSERT INTO same SELECT lost.key, min(wanted.key) FROM wanted CROSS JOIN lost ON lost.sha256 = wanted.sha256 "
        "WHERE wanted.kind = 'f' AND wanted.needed AND source >= 0 AND coalesce(lost.size, wanted.size) = wanted.size "
        "GROUP BY lost.key"
    )
    found, last = 0, b""
    while page := list(choices.ask("SELECT lost, wanted FROM same WHERE lost > ? ORDER BY lost LIMIT ?", last, _PAGE)):
        last = page[-1][0]
        for key, other in page:
            lost, wanted = next(choices.lost("key = ?", key)), next(choices.all_wanted("key = ?", other))
            entry = wanted.entry._replace(path=wanted.origin)
            found += _give(choices, lost, wanted.source, held[wanted.source], entry)
    return found


def _seek_in(choices: Choices, number: int, held: Held, entries: Iterator[Entry], say: Say) -> int:
    found, unknown = 0, []
    for count, entry in enumerate(entries):
        if not count & 0xFF:
            say(count)
        if entry.kind != "f":
            continue
        hashable = entry.sha256 is None and held.files.root is not None
        found += offer(choices, number, held, entry, by_content=entry.sha256 is not None or hashable)
        if hashable and choices.number(_OF_THIS_SIZE, entry.size, not held.in_reserve or held.set_aside):
            unknown.append(entry)
        if len(unknown) >= _PAGE:
            found += __offer_hashed(choices, number, held, unknown, partial(say, count))
            unknown.clear()
    return found + __offer_hashed(choices, number, held, unknown, partial(say, 0))


def __offer_hashed(
    choices: Choices, number: int, held: Held, entries: Sequence[Entry], alive: Callable[[], None]
) -> int:
    if not entries:
        return 0
    root = held.files.root
    assert root is not None
    found = 0
    with closing(hash_files(root, (each.path for each in entries), progress=lambda count: alive())) as answers:
        for entry, answer in zip(entries, answers, strict=True):
            if answer.sha256 is None or answer.size != entry.size:
                continue
            found += offer(choices, number, held, entry._replace(sha256=answer.sha256), by_content=True, certain=True)
            if held.set_aside:
                query = "UPDATE lost SET why = ? WHERE key = ? AND sha256 <> ?"
                choices.ask(query, ANOTHER_ASIDE, entry.key, answer.sha256)
    return found


def offer(choices: Choices, number: int, held: Held, entry: Entry, *, by_content: bool, certain: bool = False) -> int:
    """``by_content``: its hash is known, or will be: where the hash of what is lost is known, that decides.
    ``certain``: it was just read."""
    found, last = 0, b""
    while page := list(choices.lost("sha256 = ? AND key > ? ORDER BY key LIMIT ?", entry.sha256, last, _PAGE)):
        last = key_of(page[-1].path)  # one content may be sought under many names
        fitting = (lost for lost in page if lost.size in (None, entry.size))
        found += sum(_give(choices, lost, number, held, entry, certain) for lost in fitting)
    for lost in choices.lost("key = ? AND (sha256 IS NULL OR ?)", entry.key, not by_content):
        apart = abs(lost.entry.mtime_ns - entry.mtime_ns) if lost.entry is not None and lost.sha256 is None else 0
        if lost.size in (None, entry.size) and apart < held.files.resolution:
            found += _give(choices, lost, number, held, entry)
    return found


def _give(choices: Choices, lost: Lost, source: int, held: Held | bytes, entry: Entry, certain: bool = False) -> bool:
    """Want it from there (``held``: the snapshot, or the live folder), with the attributes that it should have, or else
    those that it has there. Unless that is ``certain``, not from where another content stood."""
    path = lost.path
    root = held if isinstance(held, bytes) else held.files.root
    known = "source = ? AND origin = ? OR device = ? AND inode = ?"
    if not certain and choices.number(f"SELECT count(*) FROM tried WHERE {known}", *_place(source, root, entry.path)):
        return False
    if choices.in_the_way(path):
        choices.find(IN_THE_WAY, path)
        return False
    made = (lost.entry or entry)._replace(path=path, sha256=lost.sha256 or entry.sha256, size=entry.size)
    sure = lost.sha256 is not None or lost.entry is not None or source == LIVE
    choices.want(Wanted(made, source, entry.path, sure=sure, rows=lost.rows))
    choices.found(path)
    if entry.path != path:
        choices.find(MOVED, path)
    elif not isinstance(held, bytes):
        told = (SET_ASIDE, SET_ASIDE_BY_NAME) if held.set_aside else (IN_ANOTHER, BY_NAME)
        choices.find(told[0 if sure else 1], path)
    return True


def give_up(choices: Choices, wanted: Wanted, root: bytes | None, why: str) -> None:
    """It does not stand where it is wanted from (below ``root``, where that can be read directly): it counts as lost
    until it is found elsewhere."""
    e = wanted.entry
    choices.ask("INSERT OR IGNORE INTO tried VALUES (?, ?, ?, ?)", *_place(wanted.source, root, wanted.origin))
    told = MOVED, IN_ANOTHER, BY_NAME, SET_ASIDE, SET_ASIDE_BY_NAME
    choices.ask("DELETE FROM finding WHERE path = ? AND sort IN (?, ?, ?, ?, ?)", wanted.path, *told)
    choices.unwant(wanted.path)
    choices.lose(Lost(wanted.path, e.sha256, e.size, wanted.rows, why, e))


def _place(source: int, root: bytes | None, origin: bytes) -> tuple[int, bytes, int | None, int | None]:
    """Where a file stands, and which it is: snapshots share files, and are damaged together."""
    try:
        status = os.stat(root + b"/" + origin, follow_symlinks=False) if root is not None else None  # noqa: PTH116
    except OSError:
        status = None
    return source, origin, *((status.st_dev, status.st_ino) if status is not None else (None, None))


def find_in_live(choices: Choices, live: bytes) -> int:
    """Want what is lost from the live folder, where it stands under its own name or, by its hash as far as that is
    known, under another. Returns how many were found."""
    choices.ask("CREATE INDEX IF NOT EXISTS live_by_content ON live (sha256)")
    found, last = 0, b""
    while page := list(choices.all_lost(_PAGE, after=last)):
        last = key_of(page[-1].path)
        found += sum(_find_live(choices, live, lost) for lost in page)
        choices.commit()
    return found


def _find_live(choices: Choices, live: bytes, lost: Lost) -> bool:
    key = key_of(lost.path)
    here = _first(choices, "SELECT size, sha256 FROM live WHERE key = ? AND kind = 'f'", key)
    fits = here is not None and lost.size in (None, here[0]) and lost.sha256 in (None, here[1])
    if fits and _take_live(choices, live, lost, lost.path):
        choices.ask("UPDATE live SET verdict = 'right' WHERE key = ?", key)
        return True
    if lost.sha256 is None:
        return False
    query = "SELECT key FROM live WHERE sha256 = ? AND kind = 'f' AND size = coalesce(?, size) ORDER BY key LIMIT 1"
    row = _first(choices, query, lost.sha256, lost.size)
    return row is not None and _take_live(choices, live, lost, path_of(row[0]))


def _take_live(choices: Choices, live: bytes, lost: Lost, origin: bytes) -> bool:
    try:
        status = os.stat(live + b"/" + origin, follow_symlinks=False)  # noqa: PTH116
    except OSError:
        return False
    row = _first(choices, "SELECT sha256 FROM live WHERE key = ?", key_of(origin)) or (None,)
    return _give(choices, lost, LIVE, live, entry_of("f", status, origin)._replace(sha256=row[0]))


def _first(choices: Choices, query: str, *arguments: object) -> tuple[Any, ...] | None:
    return next(iter(choices.ask(query, *arguments)), None)
