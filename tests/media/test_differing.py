"""Two streams of entries compared: what only one has, and in what the others differ."""

import os
from pathlib import Path

import pytest

from engine.media.catalogue import Entry, catalogue_of, open_catalogue
from engine.media.differing import differences, live_entries, live_entry
from engine.media.snapshot import take_snapshot

BASE = Entry("f", "ab" * 32, 10, 5, 0o640, 1, 2, b"a")


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({}, ()),
        ({"sha256": "cd" * 32}, ("content",)),
        ({"sha256": None}, ()),
        ({"size": 11, "sha256": None}, ("size",)),
        ({"mtime_ns": 6, "mode": 0o600}, ("mtime", "mode")),
        ({"gid": 3}, ("owner",)),
        ({"kind": "d"}, ("kind",)),
    ],
)
def test_a_change_says_what_changed(changed: dict[str, object], what: tuple[str, ...]) -> None:
    found = list(differences([BASE], [BASE._replace(**changed)]))  # type: ignore[arg-type]
    assert [each.what for each in found] == ([what] if what else [])


def test_times_that_a_snapshot_keeps_less_exactly_are_no_change() -> None:
    for apart, changed in ((999, []), (1000, [("mtime",)])):
        found = differences([BASE], [BASE._replace(mtime_ns=BASE.mtime_ns + apart)], 1000)
        assert [each.what for each in found] == changed


def test_added_and_removed_come_in_the_order_of_folders() -> None:
    left = [BASE._replace(path=path) for path in (b"a/b", b"a-b", b"c")]
    right = [BASE._replace(path=path) for path in (b"a/c", b"a-b", b"d")]
    found = [(each.how, each.path) for each in differences(left, right)]
    assert found == [("removed", b"a/b"), ("added", b"a/c"), ("removed", b"c"), ("added", b"d")]


def test_a_snapshot_and_the_unchanged_live_folder_do_not_differ_and_a_change_shows(tmp_path: Path) -> None:
    live = tmp_path / "live"
    (live / "2026").mkdir(parents=True)
    for name in ("a", "b", "c"):
        (live / "2026" / name).write_text(name)
    (live / "link").symlink_to("2026")
    take_snapshot(live, tmp_path / "s1", None)

    def now() -> list[tuple[str, bytes, tuple[str, ...]]]:
        with open_catalogue(catalogue_of(tmp_path / "s1")) as before:
            found = differences(before, live_entries(os.fsencode(live)))
            return [(each.how, each.path, each.what) for each in found]

    assert now() == []
    (live / "2026" / "a").unlink()
    os.utime(live / "2026" / "b", (1, 1))
    (live / "2026" / "d").write_text("d")
    assert now() == [("removed", b"2026/a", ()), ("changed", b"2026/b", ("mtime",)), ("added", b"2026/d", ())]


def test_one_live_file_is_looked_at_through_no_link(tmp_path: Path) -> None:
    (tmp_path / "2026").mkdir()
    (tmp_path / "2026" / "a").write_text("abc")
    (tmp_path / "link").symlink_to("2026")
    root = os.fsencode(tmp_path)
    found = live_entry(root, b"2026/a")
    assert found is not None and found.size == 3
    assert live_entry(root, b"link/a") is None
    assert live_entry(root, b"2026/b") is None
