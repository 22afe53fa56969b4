"""`files list` and `files diff` of real snapshots, typed as an operator types them."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine import cli
from engine.cli import files_browse
from tests.acts.files_site import FilesSite, filled

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def site(tmp_path: Path) -> FilesSite:
    return filled(FilesSite(tmp_path))


def document(site: FilesSite, capfd: Capture, *words: str) -> Any:
    assert cli.main(["files", *words, "--json", *site.options], open_screen=lambda: 0) == 0
    return json.loads(capfd.readouterr().out)


def lines(site: FilesSite, capfd: Capture, *words: str, code: int = 0) -> list[str]:
    assert cli.main(["files", *words, *site.options], open_screen=lambda: 0) == code
    out, err = capfd.readouterr()
    return (err if code else out).splitlines()


def test_a_folder_is_listed_with_what_is_known_of_each_entry(site: FilesSite, capfd: Capture) -> None:
    top = document(site, capfd, "list", "a")["entries"]
    assert [(each["path"], each["kind"]) for each in top] == [("2026", "d"), ("newest", "l")]
    assert (top[0]["files"], top[0]["bytes"], top[0]["size"], top[1]["target"]) == (4, 18, None, "2026/12")
    (file,) = document(site, capfd, "list", "a", "/2026/12/")["entries"]
    assert (file["path"], file["size"], file["mtime"]) == ("2026/12/Invoice 7.pdf", 7, "2026-11-19T23:00:00.000000Z")
    assert len(file["sha256"]) == 64 and file["files"] is None


def test_a_file_itself_and_a_name_below_a_folder(site: FilesSite, capfd: Capture) -> None:
    (one,) = document(site, capfd, "list", "b", "2026/12/new.pdf")["entries"]
    assert one["path"] == "2026/12/new.pdf"
    found = document(site, capfd, "list", "b", "--search", "INVOICE")["entries"]
    assert [each["path"] for each in found] == ["2026/12/Invoice 7.pdf"]
    assert document(site, capfd, "list", "b", "2026/11", "--search", "invoice")["entries"] == []


def test_more_entries_than_are_held_at_once_come_all_and_in_order(
    site: FilesSite, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_browse, "_PAGE", 2)
    for words in (("list", "b", "2026/12"), ("list", "b", "--search", "n")):
        monkeypatch.setattr(files_browse, "_PAGE", 1000)
        whole = document(site, capfd, *words)
        monkeypatch.setattr(files_browse, "_PAGE", 2)
        assert document(site, capfd, *words) == whole and len(whole["entries"]) >= 2


def test_lines_for_people_end_with_a_count_and_hold_no_control_character(
    site: FilesSite, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = lines(site, capfd, "list", "b", "--search", "pdf")
    assert any(r"scan\x1b[31m\xff.pdf" in line for line in told) and "\x1b" not in "".join(told)
    monkeypatch.setattr(files_browse, "_TOLD", 1)
    told = lines(site, capfd, "list", "b", "--search", "pdf")
    assert len(told) == 2 and told[1].startswith("and 3 more")


def test_two_snapshots_are_told_apart(site: FilesSite, capfd: Capture) -> None:
    found = document(site, capfd, "diff", "a", "b")
    assert list(found) == ["added", "removed", "changed"]
    assert [each["path"] for each in found["added"]] == ["2026/12/new.pdf"]
    assert [each["path"] for each in found["removed"]] == ["2026/11/gone.pdf"]
    (changed,) = found["changed"]
    assert (changed["path"], changed["size"], changed["what"]) == ("2026/11/card.pdf", 12, ["content", "size"])
    assert lines(site, capfd, "diff", "a", "b") == [
        "~ 2026/11/card.pdf  (content, size)",
        "- 2026/11/gone.pdf",
        "+ 2026/12/new.pdf",
    ]


def test_a_difference_to_live_says_that_no_content_was_read(site: FilesSite, capfd: Capture) -> None:
    (line,) = lines(site, capfd, "diff", "b", "live")
    assert "no content" in line
    assert document(site, capfd, "diff", "b", "live") == {"added": [], "removed": [], "changed": []}


@pytest.mark.parametrize(
    "words",
    [
        ("list", "nowhere"),
        ("list", "a", "2026/13"),
        ("list", "a", "../.."),
        ("list", "a", "--search", ""),
        ("diff", "a", "a"),
        ("diff", "a", "nowhere"),
    ],
)
def test_what_is_not_there_is_one_error(site: FilesSite, capfd: Capture, words: tuple[str, ...]) -> None:
    told = lines(site, capfd, *words, code=2)
    assert told[0].startswith("reprise: ") and len(told) <= 3
