"""A snapshot's listing: folders in order, any page of them; names in any case; made anew where damaged."""

import os
from pathlib import Path

import pytest

from engine.media.catalogue import Entry
from engine.media.listing import Listing, build_listing, open_listing
from engine.records.errors import DamagedCopy


def file(path: bytes, size: int = 10, digest: str = "ab" * 32) -> Entry:
    return Entry("f", digest, size, 1_700_000_000 * 10**9, 0o640, 5, 6, path)


ENTRIES = [
    Entry("d", None, 0, 0, 0o750, 5, 6, b"2026"),
    file(b"2026/11/Invoice.pdf", 100),  # 2026/11 does not stand by itself, as in another program's snapshot
    file(b"2026/11/\xff\x1b[31m.pdf", 1),
    file(b"2026/11-a", 7, "cd" * 32),
    *[file(b"flat/%03d.bin" % number) for number in range(300)],
    Entry("l", None, 0, 0, 0o777, 5, 6, b"link", b"2026"),
]
# A catalogue's order goes component by component.
ENTRIES.sort(key=lambda entry: entry.key)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "files" / "one.sqlite"
    build_listing(path, "one", ENTRIES)
    return path


@pytest.fixture
def listing(place: Path) -> Listing:
    found = open_listing(place, "one")
    assert found is not None
    return found


def names(listing: Listing, text: str, below: bytes = b"") -> list[bytes]:
    here = listing.find(below)
    assert here is not None
    return [listing.path(row) for row in listing.search(text, here)]


def test_every_entry_is_found_at_its_path_and_nothing_else(listing: Listing) -> None:
    for entry in ENTRIES:
        row = listing.find(entry.path)
        assert row is not None and listing.path(row) == entry.path
        assert (row.kind, row.size, row.mode, row.target) == (entry.kind, entry.size, entry.mode, entry.target)
    assert listing.find(b"2026/11/Invoice.pdf/x") is None
    assert listing.find(b"2026/12") is None
    assert listing.find(b"..") is None


def test_a_folder_knows_files_and_bytes_of_all_below_it(listing: Listing) -> None:
    top, year, month = (listing.find(path) for path in (b"", b"2026", b"2026/11"))
    assert top and year and month
    assert (top.files, top.children, month.files, month.bytes) == (303, 3, 2, 101)
    assert (year.files, year.bytes) == (3, 108)


def test_any_page_of_a_large_folder_comes_in_order(listing: Listing) -> None:
    flat = listing.find(b"flat")
    assert flat is not None
    assert [row.name for row in listing.folder(flat.id, 297, 50)] == [b"297.bin", b"298.bin", b"299.bin"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("INVOICE", [b"2026/11/Invoice.pdf"]),
        ("oice.p", [b"2026/11/Invoice.pdf"]),
        ("11", [b"2026/11", b"2026/11-a", *[b"flat/%03d.bin" % n for n in (11, *range(110, 120), 211)]]),
        ('"*"', []),
        ("lin", [b"link"]),
        ("invxxx", []),
    ],
)
def test_a_name_is_found_by_any_part_of_it_in_any_case(listing: Listing, text: str, found: list[bytes]) -> None:
    assert names(listing, text) == sorted(found, key=lambda path: path.split(b"/"))


def test_a_search_goes_on_behind_an_entry_and_stays_below_its_folder(listing: Listing) -> None:
    flat = listing.find(b"flat")
    assert flat is not None
    first = listing.search(".bin", flat, count=200)
    rest = listing.search(".bin", flat, after=first[-1].id, count=200)
    assert [row.name for row in first + rest] == [b"%03d.bin" % number for number in range(300)]
    assert names(listing, ".bin", b"2026") == []


def test_content_is_found_wherever_it_stands(listing: Listing) -> None:
    assert [row.name for row in listing.holds(bytes.fromhex("cd" * 32))] == [b"11-a"]


def test_another_snapshot_in_its_place_or_a_damaged_file_is_no_listing(place: Path) -> None:
    assert open_listing(place, "another") is None
    place.write_bytes(b"no database" * 1000)
    assert open_listing(place, "one") is None
    build_listing(place, "one", ENTRIES)
    assert open_listing(place, "one") is not None


def test_damage_inside_is_told_and_the_file_goes(place: Path) -> None:
    data = bytearray(place.read_bytes())
    data[4096 * 2 :] = b"\xff" * (len(data) - 4096 * 2)
    place.write_bytes(data)
    with pytest.raises(DamagedCopy):
        found = open_listing(place, "one")
        if found is None:
            raise DamagedCopy("seen at once")
        list(found.entries(found.root))
        names(found, "invoice")


def test_only_its_owner_can_read_it_and_old_ones_go(place: Path) -> None:
    assert place.parent.stat().st_mode & 0o777 == 0o700
    os.utime(place, (1, 1))
    for number in range(12):
        build_listing(place.with_name(f"{number}.sqlite"), "x", ENTRIES[:1])
    assert not place.exists()
    assert len(list(place.parent.iterdir())) == 8
