"""What is lost, sought by its content in snapshots that tell no hashes and whose files must be fetched (restic's):
those that have its size are fetched, hashed, and thrown away again. Without a size nothing is sought in that way."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from engine.media.catalogue import Entry
from engine.media.choices import Choices
from engine.media.elsewhere import offer
from engine.media.hashing import hash_files
from engine.media.sources import Held
from engine.records.errors import DamagedCopy, RepriseError
from engine.transfer.removing import remove_tree

_FILES, _BYTES = 20_000, 4 << 30  # that are fetched at once
_TRIED_FOR = "tried for"  # the fact for how many lost files this was done

_OF_THIS_SIZE = "SELECT EXISTS (SELECT 1 FROM lost WHERE sha256 IS NOT NULL AND size = ?)"

Say = Callable[[int, int], None]


def find_by_fetching(choices: Choices, held: Sequence[Held], scratch: Path, say: Say) -> int:
    """Want what the snapshots of the moment have under another name. Returns how many were found. ``scratch`` is an
    absent folder, and ``say`` hears files and bytes that are under way. Done once, unless more is lost then: it takes
    its time. Raises RepriseError where a snapshot is away."""
    lost = choices.number("SELECT count(*) FROM lost WHERE sha256 IS NOT NULL AND size IS NOT NULL")
    if lost <= int(choices.kept(_TRIED_FOR) or 0):
        return 0
    found = 0
    for number, each in enumerate(held):
        if each.files.root is None and not each.in_reserve and not each.files.tells_hashes:
            try:
                for page in _pages(choices, each):
                    found += _try(choices, number, each, page, scratch, say)
            except DamagedCopy as problem:
                choices.find(f"snapshot {each.snapshot.id} could not be looked through for what is lost: {problem}")
    choices.keep(_TRIED_FOR, str(lost))
    choices.commit()
    return found


def _pages(choices: Choices, held: Held) -> Iterator[list[Entry]]:
    page: list[Entry] = []
    size = 0
    with held.files.entries(hashes=False) as entries:
        for entry in entries:
            if entry.kind != "f" or not choices.number(_OF_THIS_SIZE, entry.size):
                continue
            page.append(entry)
            size += entry.size
            if len(page) >= _FILES or size >= _BYTES:
                yield page
                page, size = [], 0
    if page:
        yield page


def _try(choices: Choices, number: int, held: Held, page: Sequence[Entry], scratch: Path, say: Say) -> int:
    names = scratch.with_name(f"{scratch.name}-names")
    remove_tree(scratch)
    scratch.mkdir(0o700)
    with names.open("wb") as file:
        file.writelines(each.path + b"\0" for each in page)
    try:
        held.files.fetch(names, scratch, say)
    except DamagedCopy as problem:  # of some files; those that came are good
        choices.find(f"not all of {held.snapshot.id} could be looked at for what is lost: {problem}")
    except RepriseError:
        remove_tree(scratch)
        raise
    found = 0
    with closing(hash_files(bytes(scratch), (each.path for each in page), progress=lambda count: say(0, 0))) as answers:
        for entry, answer in zip(page, answers, strict=True):
            if answer.sha256 is not None and answer.size == entry.size:
                found += offer(choices, number, held, entry._replace(sha256=answer.sha256), by_content=True)
    names.unlink()
    remove_tree(scratch)
    return found
