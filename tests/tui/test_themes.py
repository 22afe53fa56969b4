"""Themes: the built-in ones are whole, a broken one is reported and skipped, no file brings the reader down."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.settings import read_settings, remember_theme
from tui.themes import ROLES, ThemeError, load_themes, read_theme, styles

GOOD = b'name = "mine"\ndark = true\n[roles]\n' + b"".join(f'{role} = "#102030"\n'.encode() for role in ROLES)


def test_the_built_in_themes_are_there_and_whole() -> None:
    themes, problems = load_themes()
    assert not problems
    assert list(themes)[:4] == ["dark", "light", "high contrast", "monochrome"]
    for theme in themes.values():
        made = styles(theme)
        assert {role + suffix for role in ROLES for suffix in ("", "!", "~")} == set(made)


def test_the_dark_theme_has_the_colours_of_the_pictures() -> None:
    dark = load_themes()[0]["dark"].roles
    assert (dark["text"], dark["accent"], dark["background"]) == ("#d7dde5", "#5cc8ff", "#0f1419")


def test_monochrome_sends_no_colour() -> None:
    theme = load_themes()[0]["monochrome"]
    assert theme.colourless
    assert all(style.color is None and style.bgcolor is None for style in styles(theme).values())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (GOOD.replace(b'bad = "#102030"', b""), "roles.bad: missing"),
        (GOOD.replace(b'ok = "#102030"', b'ok = "green"'), "roles.ok"),
        (GOOD.replace(b"[roles]", b"[colours]"), "unknown key"),
        (GOOD + b'extra = "#102030"', "unknown role"),
        (GOOD.replace(b"dark = true", b'dark = "yes"'), "dark"),
        (b"name = [", "not TOML"),
        (b"\xff\xfe", "not TOML"),
        (b"", "name"),
        (b"#" * 100_000, "too long"),
    ],
)
def test_a_broken_theme_says_what_is_wrong(change: bytes, says: str) -> None:
    with pytest.raises(ThemeError, match=r"file\.toml") as error:
        read_theme(change, "file.toml")
    assert says in str(error.value)


def test_a_broken_theme_is_skipped_and_the_others_stay(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(GOOD)
    (tmp_path / "broken.toml").write_bytes(b"name = ")
    (tmp_path / "deep.toml").write_text("name = " + "[" * 5000)
    (tmp_path / "folder.toml").mkdir()
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "gone.toml").symlink_to(tmp_path / "nothing")
    themes, problems = load_themes([tmp_path, tmp_path / "absent"])
    assert "mine" in themes and "dark" in themes
    assert [Path(problem.split(": ")[0]).stem for problem in problems] == ["broken", "deep", "folder", "gone", "pipe"]


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
@settings(max_examples=200, deadline=None)
def test_no_bytes_bring_the_reader_down(data: bytes) -> None:
    try:
        read_theme(data, "x")
    except ThemeError as error:
        assert str(error).startswith("x: ")


def test_the_choice_is_remembered_and_other_settings_stay(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "settings.toml"
    assert remember_theme("light", path) is None
    path.write_text(path.read_text() + '[keys]\nquit = "Q"\n')
    assert remember_theme("dark", path) is None
    settings_ = read_settings(path)
    assert (settings_.theme, settings_.keys) == ("dark", {"quit": "Q"})


@pytest.mark.parametrize("text", ["theme = 3", "keys = 1", "[keys]\nquit = 1", "= ", "\x00", "keys = " + "[" * 5000])
def test_broken_settings_are_reported(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    assert read_settings(path).problem
    assert remember_theme("dark", path) is None or path.read_text() == text


def test_settings_that_are_no_file_are_reported_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "settings.toml")
    assert "ordinary file" in (read_settings(tmp_path / "settings.toml").problem or "")
