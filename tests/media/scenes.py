"""A media folder with a history: real snapshots of it, at made-up times, and what a restore of its files makes of it.

Times are seconds since BEGAN. The files' mtimes are set to them; their ctimes are now, as after an rsync or a restore.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from engine.media.bringing import Bringer, take_anew
from engine.media.catalogue import Entry, catalogue_of, open_catalogue
from engine.media.choices import Choices
from engine.media.choosing import choose
from engine.media.dressing import dress_live, undress_live
from engine.media.looking import look_at_live
from engine.media.references import collect
from engine.media.snapshot import take_snapshot
from engine.media.sources import Held, open_snapshot
from engine.media.swapping import Swap, plan_moves, swap_back, swap_whole
from engine.media.trying import note_what_is_left, still_sought
from engine.records.copies import MediaSnapshot
from engine.recovery.snapshots import snapshots_for
from engine.site import MediaRepository

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
Place = Literal["beside", "delta", "into"]


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def nanoseconds(seconds: float) -> int:
    return int(BEGAN.timestamp()) * 1_000_000_000 + int(seconds * 1e9)


def tree(root: Path, times: bool = True) -> dict[bytes, tuple[object, ...]]:
    """Everything below a folder: kind, mode, mtime of files, content or target."""
    found: dict[bytes, tuple[object, ...]] = {}
    for place, folders, files in os.walk(os.fsencode(root)):
        for name in (*folders, *files):
            path = os.path.join(place, name)  # noqa: PTH118
            status = os.lstat(path)
            what: object = None
            if stat.S_ISLNK(status.st_mode):
                what = os.readlink(path)  # noqa: PTH115
            elif stat.S_ISREG(status.st_mode):
                what = Path(os.fsdecode(path)).read_bytes()
            changed = status.st_mtime_ns if times and what is not None else 0
            relative = os.path.relpath(path, os.fsencode(root))
            found[relative] = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode), changed, what
    return found


def contents(root: Path) -> dict[bytes, object]:
    """What its files and links hold, by path."""
    return {path: each[3] for path, each in tree(root).items() if each[3] is not None}


@dataclass
class Scene:
    """``home`` is an empty folder."""

    home: Path
    held: list[Held] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.live.mkdir()
        self.copies.mkdir()

    def pack(self) -> None:
        """From now on, snapshots must be fetched."""
        self.held = [Held(each.snapshot, Packed(each.snapshot)) for each in self.held]

    def unhash(self) -> None:
        """From now on, snapshots are folders of rsync: nobody wrote down a hash."""
        rsync = MediaRepository(kind="rsync", path=str(self.copies))
        self.held = [Held(each.snapshot, open_snapshot(each.snapshot, rsync, str(self.live))) for each in self.held]

    @property
    def live(self) -> Path:
        return self.home / "live"

    @property
    def copies(self) -> Path:
        return self.home / "copies"

    @property
    def building(self) -> Path:
        return self.home / ".building"

    @property
    def aside(self) -> Path:
        return self.home / "aside"

    @property
    def decided(self) -> Path:
        return self.home / "files.sqlite"

    def write(self, path: str | bytes, content: bytes, seconds: float) -> Path:
        place = self.live / os.fsdecode(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        os.utime(place, ns=(nanoseconds(seconds), nanoseconds(seconds)))
        return place

    def snapshot(self, started: float, stopped: float | None = None, *, dated: bool = True) -> MediaSnapshot:
        """Take one now, and say it was taken then."""
        name = f"s{len(self.held)}"
        take_snapshot(self.live, self.copies / name, None)
        stopped = started if stopped is None else stopped
        taken = MediaSnapshot(
            name, str(self.copies), self.copies / name, at(started), at(stopped), has_catalogue=True, dated=dated
        )
        repository = MediaRepository(kind="directory", path=str(self.copies))
        self.held.append(Held(taken, open_snapshot(taken, repository, str(self.live))))
        return taken

    def chosen(self, moment: float | None) -> list[Held]:
        """By the rule of snapshots_for; behind them, all others in reserve."""
        snapshots = [each.snapshot for each in self.held if not each.set_aside]
        wanted = snapshots_for(snapshots, at(moment) if moment is not None else None)
        chosen = [next(each for each in self.held if each.snapshot is one) for one in wanted]
        return (
            [*chosen, *(replace(each, in_reserve=True) for each in self.held if each not in chosen)] if chosen else []
        )

    def decide(
        self,
        moment: float | None,
        referred: Mapping[bytes, bytes] | None = None,
        *,
        fast: bool = False,
        sized: bool = True,
    ) -> list[Held]:
        """Choose, and look at the live folder. ``referred``: the contents of the paths that the database refers to;
        not ``sized``: it does not know how many bytes they have."""
        held, when = self.chosen(moment), at(moment) if moment is not None else None
        references = None
        if referred is not None:
            rows = [
                (path, len(content) if sized else None, hashlib.sha256(content).digest())
                for path, content in referred.items()
            ]
            references = collect(rows, self.home / "references.sqlite")
        with Choices(self.decided) as choices:
            choose(choices, held, when, references)
            note_what_is_left(choices, held)
        self.look(moment, held, narrowed=referred is not None, fast=fast)
        return held

    def look(self, moment: float | None, held: list[Held], *, narrowed: bool = False, fast: bool = False) -> None:
        when = at(moment) if moment is not None else None
        with Choices(self.decided) as choices:
            look_at_live(choices, os.fsencode(self.live), held, when, narrowed=narrowed, fast=fast)
            take_anew(choices)

    def bring(
        self,
        held: list[Held],
        place: Place,
        say: Callable[[int, int], None] = lambda files, size: None,
        *,
        last_hope: bool = True,
    ) -> None:
        self.building.mkdir(mode=0o700, exist_ok=True)
        with Choices(self.decided) as choices:
            Bringer(
                choices, held, self.live, self.building,
                whole=place != "delta", share=place == "beside", say=say, last_hope=last_hope,
            ).bring()  # fmt: skip

    def swap(self, place: Place) -> None:
        if place == "beside":
            swap_whole(self.live, self.building, self.aside)
        elif place == "delta":
            with Choices(self.decided) as choices:
                plan_moves(choices)
                with self.moving(choices) as moving:
                    moving.apply()
                    dress_live(choices, moving)

    def undo(self, place: Place) -> None:
        if place == "beside":
            swap_back(self.live, self.building, self.aside)
        elif place == "delta":
            with Choices(self.decided) as choices, self.moving(choices) as moving:
                undress_live(choices, moving.live)
                moving.undo()

    def restore(
        self,
        moment: float | None,
        place: Place,
        referred: Mapping[bytes, bytes] | None = None,
        *,
        sized: bool = True,
    ) -> Path:
        """All of it; where the files stand then."""
        held = self.decide(moment, referred, sized=sized)
        self.bring(held, place)
        self.look(moment, held, narrowed=referred is not None)
        self.bring(held, place, last_hope=False)
        self.swap(place)
        return self.building if place == "into" else self.live

    def moving(self, choices: Choices) -> Swap:
        return Swap(choices, *map(os.fsencode, (self.live, self.building, self.aside)), lambda count: None)

    def told(self) -> dict[bytes, set[str]]:
        """Findings by path; those of none under an empty one."""
        with Choices(self.decided) as choices:
            found: dict[bytes, set[str]] = {}
            for sort, path in choices.ask("SELECT sort, path FROM finding"):
                found.setdefault(path, set()).add(sort)
            return found

    def still_sought(self) -> int:
        with Choices(self.decided) as choices:
            return still_sought(choices)[0]

    def lost(self) -> dict[bytes, str]:
        with Choices(self.decided) as choices:
            return {each.path: each.why for each in choices.all_lost()}


def same_everywhere(*roots: Path) -> Iterable[object]:
    """All that the files in these folders hold."""
    return {content for root in roots if root.is_dir() for content in contents(root).values()}


class Packed:
    """A snapshot whose files must be fetched, and that knows no hashes, as restic's are."""

    def __init__(self, snapshot: MediaSnapshot) -> None:
        self.snapshot, self.fetched = snapshot, 0

    root = None
    resolution = 1
    tells_hashes = False

    @contextmanager
    def entries(self, *, hashes: bool = True) -> Iterator[Iterator[Entry]]:
        with open_catalogue(catalogue_of(self.snapshot.path)) as catalogue:
            yield (each._replace(sha256=None) for each in catalogue)

    def fetch(self, paths: Path, into: Path, say: Callable[[int, int], None]) -> None:
        for number, name in enumerate(paths.read_bytes().split(b"\0")[:-1], 1):
            place = os.fsencode(into) + b"/" + name
            os.makedirs(os.path.dirname(place), exist_ok=True)  # noqa: PTH103, PTH120
            shutil.copyfile(os.fsencode(self.snapshot.path) + b"/" + name, place)
            self.fetched += 1
            say(number, number)
