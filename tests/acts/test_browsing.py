"""What snapshots hold and how they differ, asked of real ones."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from engine.acts.browsing import compare_files, content_in, file_snapshots, list_files, live_file, snapshot_at
from engine.acts.listing_child import make_listing
from engine.records.errors import DamagedCopy, RepriseError, Unreachable, UsageError
from tests.acts.files_site import FilesSite, filled
from tests.clusters import wait_until
from tests.tui.history import utc


@pytest.fixture
def site(tmp_path: Path) -> FilesSite:
    return filled(FilesSite(tmp_path))


def told(site: FilesSite, a: str, b: str) -> set[tuple[str, bytes, tuple[str, ...]]]:
    with compare_files(site.desk(), a, b) as found:
        return {(each.how, each.path, each.what) for each in found}


def test_a_moment_belongs_to_the_last_snapshot_before_it_else_to_the_first(site: FilesSite) -> None:
    found = file_snapshots(site.desk())
    assert [each.id for each in found] == ["a", "b"]
    chosen = [snapshot_at(found, utc(day, 12)) for day in (1, 21, 23)]
    assert [each.id for each in chosen if each] == ["a", "a", "b"]
    assert snapshot_at([], utc(1, 0)) is None


def test_a_listing_is_made_once_and_anew_for_another_snapshot_of_this_name(
    site: FilesSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    list_files(site.desk(), "a", made.append).close()
    assert made[-1] == 8  # five files and links, three folders
    again: list[int] = []
    list_files(site.desk(), "a", again.append).close()
    assert again == []
    for path in site.copies.glob("a.*"):
        path.unlink()
    (site.copies / "a").rename(site.home / "away")
    site.snapshot("a", 21)
    listing = list_files(site.desk(), "a")
    assert listing.find(b"2026/12/new.pdf") is not None
    listing.close()


def test_what_one_snapshot_has_and_the_other_has_not(site: FilesSite) -> None:
    assert told(site, "a", "b") == {
        ("changed", b"2026/11/card.pdf", ("content", "size")),
        ("removed", b"2026/11/gone.pdf", ()),
        ("added", b"2026/12/new.pdf", ()),
    }
    assert {(how, path) for how, path, _ in told(site, "b", "a")} == {
        ("changed", b"2026/11/card.pdf"),
        ("added", b"2026/11/gone.pdf"),
        ("removed", b"2026/12/new.pdf"),
    }


def test_live_differs_by_what_can_be_seen_without_reading_it(site: FilesSite) -> None:
    assert told(site, "b", "live") == set()
    site.write("2026/12/new.pdf", "NEW")  # size and time as they were
    site.write("2026/13/later.pdf", "later")
    assert told(site, "b", "live") == {("added", b"2026/13", ()), ("added", b"2026/13/later.pdf", ())}


def test_a_live_file_is_looked_at_and_none_that_a_link_leads_to(site: FilesSite) -> None:
    desk = site.desk()
    found = live_file(desk, b"2026/12/new.pdf")
    assert found is not None and (found.kind, found.size) == ("f", 3)
    assert live_file(desk, b"2026/11/gone.pdf") is None
    assert live_file(desk, b"newest/new.pdf") is None


def test_a_content_is_found_in_the_other_snapshots_that_have_a_listing(site: FilesSite) -> None:
    desk = site.desk()
    snapshots = file_snapshots(desk)
    listing = list_files(desk, "a")
    entry = listing.find(b"2026/11/gone.pdf")
    listing.close()
    assert entry is not None and entry.sha256 is not None
    assert content_in(desk, snapshots, entry.sha256) == [("a", [b"2026/11/gone.pdf"]), ("b", None)]
    list_files(desk, "b").close()
    assert content_in(desk, snapshots, entry.sha256)[1] == ("b", [])


@pytest.mark.parametrize(("a", "b"), [("a", "a"), ("a", "nowhere"), ("nowhere", "live")])
def test_what_cannot_be_compared_is_one_error(site: FilesSite, a: str, b: str) -> None:
    with pytest.raises(UsageError):
        told(site, a, b)


def test_a_damaged_catalogue_is_told_and_leaves_no_listing(site: FilesSite) -> None:
    catalogue = next(site.copies.glob("b.catalogue*"))
    catalogue.write_bytes(catalogue.read_bytes()[:-20])
    with pytest.raises(DamagedCopy):
        list_files(site.desk(), "b")
    with pytest.raises(DamagedCopy):
        told(site, "a", "b")
    assert not list((site.home / "state" / "files").glob("*"))


def test_a_state_folder_that_takes_no_listing_is_one_error(site: FilesSite) -> None:
    (site.home / "state").mkdir()
    (site.home / "state" / "files").write_text("in the way")
    with pytest.raises(RepriseError, match="cannot be listed"):
        list_files(site.desk(), "a")


def test_a_snapshot_that_does_not_answer_is_given_up_and_its_process_ends(site: FilesSite) -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        make_listing(site.desk(), "a", lambda done: None, "the snapshot", patience=0.001)  # it takes longer to start
    assert not [child for child in psutil.Process().children() if "listing_child" in " ".join(child.cmdline())]


def test_the_listing_ends_with_the_process_that_asked_for_it(site: FilesSite) -> None:
    asking = subprocess.Popen([sys.executable, "-m", "tui", "files", "list", "a", *site.options])
    try:
        parent = psutil.Process(asking.pid)
        wait_until(lambda: bool(parent.children()), "no process lists the files")
        (child,) = parent.children()
        child.suspend()
    finally:
        asking.kill()
        asking.wait()
    with suppress(psutil.NoSuchProcess):
        child.resume()
        child.wait(10)
    assert not list((site.home / "state").glob("files/*.sqlite"))
