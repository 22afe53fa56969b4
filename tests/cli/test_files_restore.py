"""`files restore` as it is typed: plan, wrong usage, refusals, what is printed; no server is needed for it."""

import json
from pathlib import Path

import pytest

from engine import cli
from tests.acts.sites import MediaSite, fill, make_site
from tests.media.scenes import contents, tree


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> MediaSite:
    site = make_site(tmp_path_factory.mktemp("typed"))
    fill(site.live, 6)
    site.snapshot()
    return site


def typed(site: MediaSite, *words: str | Path) -> int:
    return cli.main(
        ["--site", str(site.home / "site.toml"), "--state", str(site.home / "state"), "files", "restore",
         *map(str, words)],
        open_screen=lambda *_: 0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--snapshot", "s", "--latest"], "--snapshot stands instead of a target"),
        (["--snapshot", "nope"], "no media snapshot"),
        (["--latest", "--path", "../x"], "no path in the media folder"),
        (["--latest", "--into", "x", "--delta"], "leave one of them out"),
        (["--time", "2026-11-27T12:00:00"], "offset"),
        (["--latest"], "--yes"),
    ],
)
def test_wrong_usage_is_told_and_changes_nothing(
    site: MediaSite, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(site.live)
    assert typed(site, *words) == 2
    said = capsys.readouterr()
    assert told in said.err and "Traceback" not in said.err
    assert tree(site.live) == before
    assert not [each.name for each in site.home.iterdir() if each.name in ("x", "s")]


def test_a_plan_is_shown_and_nothing_happens(site: MediaSite, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(site.live)
    assert typed(site, "--latest", "--plan", "--json") == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert (files["place"], files["folder"], files["files"]) == ("beside", str(site.live), 6)
    assert tree(site.live) == before


def test_a_full_folder_is_refused_with_exit_code_3(site: MediaSite, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(site, "--latest", "--into", site.home / "copies", "--yes") == 3
    assert "is not empty" in capsys.readouterr().out


def test_what_was_done_is_told_to_the_end(site: MediaSite, capsys: pytest.CaptureFixture[str]) -> None:
    (site.live / "0/0.pdf").write_bytes(b"damaged")
    (site.live / "1/new").write_bytes(b"new")
    assert typed(site, "--latest", "--delta", "--fast", "--yes") == 0
    said = capsys.readouterr().out
    assert contents(site.live)[b"0/0.pdf"] == b"content of 0"
    for words in (
        "1 copied",
        "5 were right already",
        "1 live ones were wrong",
        "1 not asked for",
        "--fast",
        "stands in",
    ):
        assert words in said, words
    assert "reprise rollback" in said
