r"""`postgresql.conf` and `postgresql.auto.conf`: read, and a block of our own written.

The grammar is `src/backend/utils/misc/guc-file.l`: ``name [=] value`` lines, ``#`` comments, values bare or in single
quotes (``''`` and ``\'`` for a quote, ``\n`` and its like), ``include`` directives. Of several settings of one name the
last one counts.
"""

import re
from collections.abc import Mapping

from msgspec import Struct, field

from engine.records.errors import DamagedCopy

BLOCK_BEGIN = "# --- written by reprise: do not edit ---"
BLOCK_END = "# --- end of what reprise wrote ---"

_NAME = r"[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*"
_QUOTED = r"'(?:[^'\\\n]|\\.|'')*'"
_BARE = r"[^\s'#=]+"
_LINE = re.compile(
    rf"[ \t\r\f\v]*(?:({_NAME}(?:\.{_NAME})*)(?:[ \t\r\f\v]*=[ \t\r\f\v]*|[ \t\r\f\v]+|(?='))({_QUOTED}|{_BARE}))?"
    r"[ \t\r\f\v]*(?:#.*)?\Z"
)
_ESCAPE = re.compile(r"''|\\([0-7]{1,3}|.)")
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_INCLUDES = ("include", "include_if_exists", "include_dir")


class SettingsFile(Struct, frozen=True):
    """What a configuration file says. ``includes`` are (directive, path) in order, not followed; ``faults`` are
    (line number, line) that PostgreSQL would refuse."""

    settings: Mapping[str, str]
    includes: tuple[tuple[str, str], ...] = ()
    faults: tuple[tuple[int, str], ...] = field(default=())


def read_settings_file(text: str) -> SettingsFile:
    """Read a configuration file; names are in lower case. Never raises: unreadable lines are ``faults``."""
    settings: dict[str, str] = {}
    includes: list[tuple[str, str]] = []
    faults: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        found = _LINE.match(line)
        if found is None:
            faults.append((number, line[:200]))
        elif found[1] is not None:
            name, value = found[1].lower(), _value(found[2])
            if name in _INCLUDES:
                includes.append((name, value))
            else:
                settings.pop(name, None)  # the order tells which came last
                settings[name] = value
    return SettingsFile(settings, tuple(includes), tuple(faults))


def read_settings(text: str) -> dict[str, str]:
    """The settings of a configuration file alone."""
    return dict(read_settings_file(text).settings)


def read_list(value: str) -> tuple[str, ...]:
    """A setting that is a list of names, such as shared_preload_libraries."""
    return tuple(part.strip().strip('"') for part in value.split(",") if part.strip().strip('"'))


def quote_setting(value: str) -> str:
    """A value in quotes, safe to write behind ``name = ``. Raises DamagedCopy where it holds a NUL."""
    if "\0" in value:
        raise DamagedCopy("a setting cannot hold a NUL character")
    escaped = value.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def write_block(text: str, settings: Mapping[str, str]) -> str:
    """The file's text with our own block, and only one, as its end, where it overrules what stands before."""
    lines = [f"{name} = {quote_setting(value)}" for name, value in settings.items()]
    rest = remove_block(text)
    if rest and not rest.endswith("\n"):
        rest += "\n"
    return rest + "\n".join([BLOCK_BEGIN, *lines, BLOCK_END]) + "\n"


def remove_block(text: str) -> str:
    """The file's text without our block. (ALTER SYSTEM drops comments, the block's marks too: never let a server
    rewrite the file between.)"""
    kept: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        mark = line.strip()
        if mark == BLOCK_BEGIN:
            inside = True
        elif inside and mark == BLOCK_END:
            inside = False
        elif not inside:
            kept.append(line)
    return "".join(kept)


def remove_settings(text: str, names: frozenset[str]) -> str:
    """The file's text without the lines that set one of these names."""
    kept = []
    for line in text.splitlines(keepends=True):
        found = _LINE.match(line.rstrip("\n"))
        if found is None or found[1] is None or found[1].lower() not in names:
            kept.append(line)
    return "".join(kept)


def _value(text: str) -> str:
    return _ESCAPE.sub(_unescape, text[1:-1]) if text.startswith("'") else text


def _unescape(found: re.Match[str]) -> str:
    letter = found[1]
    if letter is None:
        return "'"
    if letter[0] in "01234567":
        return chr(int(letter, 8) & 0xFF)
    return _LETTERS.get(letter, letter)
