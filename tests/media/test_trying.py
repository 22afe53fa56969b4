"""The last hope for what no snapshot has under its name: sought by its content wherever it may be, at a cost that is
borne once, and only where there is time for it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from engine.media import trying
from engine.media.catalogue import Entry, catalogue_of, open_catalogue
from engine.media.elsewhere import MOVED
from engine.media.sources import Held
from engine.records.errors import RepriseError
from tests.media.scenes import Packed, Scene, contents

NEW = {b"new/name": b"moved"}
MOMENT = 35  # s1 and s2 are its snapshots, s0 is in reserve


class Asked(Packed):
    """A snapshot that reads all it holds where it is asked for hashes, as borg's."""

    tells_hashes = True

    @contextmanager
    def entries(self, *, hashes: bool = True) -> Iterator[Iterator[Entry]]:
        with open_catalogue(catalogue_of(self.snapshot.path)) as catalogue:
            yield (each if hashes else each._replace(sha256=None) for each in catalogue)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Only the snapshot in reserve has the content that is missed, under another name."""
    scene = Scene(tmp_path)
    scene.write("old/name", b"moved", 1)
    scene.write("old/like it", b"MOVED", 1)
    scene.write("old/longer", b"a longer one", 1)
    scene.snapshot(10)
    for name in ("name", "like it", "longer"):
        (scene.live / "old" / name).unlink()
    scene.write("other", b"other", 11)
    scene.snapshot(20)
    scene.snapshot(40)
    return scene


def fetched(scene: Scene, number: int) -> int:
    return cast(Packed, scene.held[number].files).fetched


@pytest.mark.parametrize("size_known", [True, False])
def test_what_must_be_fetched_is_sought_in_reserve_too_and_the_gate_does_not_call_it_lost(
    scene: Scene, size_known: bool
) -> None:
    scene.pack()
    held = scene.decide(MOMENT, NEW, sized=size_known)
    assert scene.lost().keys() == NEW.keys() and scene.still_sought() == 1
    scene.bring(held, "into")
    assert contents(scene.building) == NEW and scene.told()[b"new/name"] == {MOVED}
    assert scene.lost() == {} and scene.still_sought() == 0
    assert fetched(scene, 0) == 1 + (2 if size_known else 3)


def test_an_rsync_folder_in_reserve_is_read_where_no_size_is_known(scene: Scene) -> None:
    scene.unhash()
    held = scene.decide(MOMENT, NEW, sized=False)
    assert scene.lost().keys() == NEW.keys() and scene.still_sought() == 1
    scene.bring(held, "into")
    assert contents(scene.building) == NEW


def test_one_in_reserve_that_can_be_asked_for_hashes_is_asked_only_then(scene: Scene) -> None:
    scene.held = [Held(each.snapshot, Asked(each.snapshot)) for each in scene.held]
    held = scene.decide(MOMENT, NEW, sized=False)
    assert scene.still_sought() == 1
    scene.bring(held, "into")
    assert contents(scene.building) == NEW


@pytest.mark.parametrize("size_known", [True, False])
def test_while_production_is_stopped_there_is_no_time_for_it_and_nothing_is_promised(
    scene: Scene, size_known: bool
) -> None:
    scene.pack()
    held = scene.decide(MOMENT, NEW, sized=size_known)
    scene.bring(held, "into", last_hope=False)
    assert fetched(scene, 0) == 0 and scene.lost().keys() == NEW.keys() and scene.still_sought() == 0


def test_the_folder_where_it_was_expected_is_read_first_and_the_search_ends_when_all_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trying, "_FILES", 2)
    scene = Scene(tmp_path)
    for number in range(6):
        scene.write(f"2026/11/26/{number}", b"%d" % number, 1)
    scene.write("2026/11/27/renamed", b"moved", 1)
    scene.snapshot(10)
    scene.pack()
    shutil.rmtree(scene.live)
    held = scene.decide(5, {b"2026/11/27/name": b"moved"}, sized=False)
    scene.bring(held, "into")
    assert contents(scene.building) == {b"2026/11/27/name": b"moved"} and fetched(scene, 0) == 1 + 1


def test_what_nobody_has_is_sought_once_in_files_that_snapshots_share_and_then_lost(scene: Scene) -> None:
    scene.pack()
    gone = {b"gone": b"nowhere", b"other": b"other"}
    held = scene.decide(MOMENT, gone, sized=False)
    scene.bring(held, "into")
    assert scene.lost().keys() == {b"gone"} and scene.still_sought() == 0
    read = [fetched(scene, number) for number in range(3)]
    assert read == [3, 0, 1]  # "other" was copied from the last: neither it nor its twin before is read again
    scene.bring(held, "into")
    assert fetched(scene, 0) == 3


def test_a_content_that_is_wanted_under_another_name_is_known_before_anything_is_read(scene: Scene) -> None:
    scene.pack()
    scene.decide(MOMENT, {b"other": b"other", b"twin": b"other"})
    assert scene.lost() == {} and scene.told()[b"twin"] == {MOVED}


def test_one_in_reserve_that_is_away_is_told_and_left_out(scene: Scene) -> None:
    scene.unhash()
    held = scene.decide(MOMENT, NEW, sized=False)
    (scene.copies / "s0").rename(scene.copies / "away")
    scene.bring(held, "into")
    assert scene.lost().keys() == NEW.keys()
    assert any("s0" in each and "could not be looked through" in each for each in scene.told()[b""])


def test_what_one_repository_cannot_bring_is_sought_in_another_that_has_the_same_file(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.pack()
    again = replace(scene.held[0].snapshot, id="t0", repository="/another")
    scene.held.insert(1, Held(again, Packed(again)))
    held = scene.decide(MOMENT, NEW)

    def away(packed: Packed, *_: object) -> None:
        raise RepriseError("the repository is away")

    first = next(each for each in held if each.snapshot.id == "s0")
    monkeypatch.setattr(first.files, "fetch", partial(away, first.files))
    scene.bring(held, "into")
    assert contents(scene.building) == NEW


def test_what_is_fetched_at_once_fits_into_half_of_the_room(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.pack()
    held = scene.decide(MOMENT, {**NEW, b"another": b"MOVED"})
    monkeypatch.setattr(trying, "_room", lambda folder: 12)
    at_once: list[int] = []
    fetch = Packed.fetch

    def counted(packed: Packed, paths: Path, into: Path, say: Callable[[int, int], None]) -> None:
        at_once.append(paths.read_bytes().count(b"\0"))
        fetch(packed, paths, into, say)

    monkeypatch.setattr(Packed, "fetch", counted)
    scene.bring(held, "into")
    assert contents(scene.building) == {**NEW, b"another": b"MOVED"} and max(at_once[:2]) == 1


def test_a_file_for_which_there_is_no_room_is_named(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.pack()
    held = scene.decide(MOMENT, NEW, sized=False)
    monkeypatch.setattr(trying, "_room", lambda folder: 11)
    scene.bring(held, "into")
    assert contents(scene.building) == NEW and scene.told()[b"old/longer"] == {trying.TOO_LARGE}
