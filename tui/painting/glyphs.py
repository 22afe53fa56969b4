"""The signs of the screens, each one cell wide, and their plain forms for terminals that have only ASCII."""

import unicodedata

from msgspec import Struct
from msgspec.structs import replace


class Glyphs(Struct, frozen=True):
    """One set of signs. ``density`` rises from nothing to a full cell."""

    reachable: str = "━"
    left: str = "─"
    fork: str = "┬"
    fork_child: str = "└"
    fork_wait: str = "┄"
    no_backup: str = "·"
    missing: str = "×"
    full: str = "■"
    incremental: str = "•"
    media: str = "▬"
    media_from: str = "├"
    media_to: str = "┤"
    media_line: str = "─"
    dump: str = "▾"
    point: str = "♦"
    head: str = "▼"
    line: str = "│"
    join: str = "┤"
    foot: str = "┴"
    path: str = "─"
    now: str = "▶"
    earlier: str = "‹"
    later: str = "›"
    density: str = " ▁▂▃▄▅▆▇█"
    ok: str = "●"
    warn: str = "▲"
    bad: str = "×"
    todo: str = "·"
    rule: str = "─"
    axis: str = "─"
    tick: str = "┬"
    major: str = "┼"
    future: str = "·"
    gauge: str = "·"
    gauge_mark: str = "│"
    corners: str = "┌┐└┘"
    wall: str = "│"
    tee_down: str = "┬"
    tee_left: str = "┤"
    bar_done: str = "━"
    bar_rest: str = "─"
    typing: str = "█"
    kept: str = "▲"
    lost: str = "▼"
    arrows: str = "←→"
    up_down: str = "↑↓"
    minus: str = "−"
    dash: str = "–"
    plain: bool = False


UNICODE = Glyphs()

PLAIN = replace(
    UNICODE,
    reachable="=",
    left="-",
    fork="+",
    fork_child="`",
    fork_wait="_",
    no_backup=".",
    missing="X",
    full="F",
    incremental="i",
    media="m",
    media_from="[",
    media_to="]",
    media_line="-",
    dump="D",
    point="*",
    head="V",
    line="|",
    join="|",
    foot="+",
    path="-",
    now=">",
    earlier="<",
    later=">",
    density=" ...::###",
    ok="+",
    warn="!",
    bad="X",
    todo="-",
    rule="-",
    axis="-",
    tick="+",
    major="+",
    future="-",
    gauge="-",
    gauge_mark="|",
    corners="++++",
    wall="|",
    tee_down="+",
    tee_left="|",
    bar_done="=",
    bar_rest="-",
    typing="_",
    kept="^",
    lost="v",
    arrows="<- ->",
    up_down="up down",
    minus="-",
    dash="-",
    plain=True,
)

# Punctuation of the program's own sentences; everything else that is not ASCII becomes a question mark.
_PUNCTUATION = {"–": "-", "—": "-", "−": "-", "…": "~", "’": "'", "‘": "'", "“": '"', "”": '"', "·": ".", "×": "x"}


def to_ascii(text: str) -> str:
    """Text with nothing above 0x7e, one character for one."""
    if text.isascii():
        return text
    return "".join(char if char.isascii() else _PUNCTUATION.get(char, "?") for char in text)


def printable(text: str) -> str:
    """Text as it may go to a terminal: no control character, no direction mark, no line break."""
    if text.isprintable():
        return text
    # Unprintable to Python too: separators other than the space, unassigned and private characters.
    return "".join(char if char.isprintable() else " " if unicodedata.category(char) == "Zs" else "?" for char in text)
