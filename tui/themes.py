"""Themes: colours by role, from TOML files. A broken one is reported and skipped."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from rich.style import Style

import themes as built_in

ROLES = ("background", "text", "title", "muted", "faint", "accent", "density", "lost", "ok", "warn", "bad")
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}\Z")
_LONGEST = 64 * 1024  # bytes of a theme file; anything longer is none


class Theme(Struct, frozen=True):
    """A theme: its name, whether it is dark, its colours (None: the terminal's own)."""

    name: str
    dark: bool
    roles: Mapping[str, str | None]

    @property
    def colourless(self) -> bool:
        return all(colour is None for colour in self.roles.values())


class ThemeError(ValueError):
    """A theme file that cannot be used; the text says where and why."""


def read_theme(data: bytes, source: str) -> Theme:
    """Read one theme. Raises ThemeError naming file, key, what is wrong and what would be right."""
    if len(data) > _LONGEST:
        raise ThemeError(f"{source}: {len(data)} bytes is too long for a theme")
    try:
        document = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ThemeError(f"{source}: not TOML: {error}") from None
    name, dark, roles = document.get("name"), document.get("dark", True), document.get("roles")
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > 40:
        raise ThemeError(f'{source}: name: a short text is wanted, like name = "dark"')
    if not isinstance(dark, bool):
        raise ThemeError(f"{source}: dark: true or false is wanted")
    if unknown := sorted(set(document) - {"name", "dark", "roles"}):
        raise ThemeError(f"{source}: {unknown[0]}: unknown key; known are name, dark, roles")
    if not isinstance(roles, dict):
        raise ThemeError(f"{source}: roles: a table [roles] is wanted with {', '.join(ROLES)}")
    if unknown := sorted(set(roles) - set(ROLES)):
        raise ThemeError(f"{source}: roles.{unknown[0]}: unknown role; known are {', '.join(ROLES)}")
    colours: dict[str, str | None] = {}
    for role in ROLES:
        colour = roles.get(role)
        if colour is None:
            raise ThemeError(f"{source}: roles.{role}: missing")
        if not isinstance(colour, str) or (colour != "default" and not _COLOUR.match(colour)):
            raise ThemeError(f'{source}: roles.{role}: a colour like "#5cc8ff" or "default" is wanted')
        colours[role] = None if colour == "default" else colour.lower()
    return Theme(name.strip(), dark, colours)


def load_themes(folders: Sequence[Path] = ()) -> tuple[dict[str, Theme], list[str]]:
    """The built-in themes and those of the given folders (later ones win); and what was skipped, and why."""
    found: dict[str, Theme] = {}
    problems: list[str] = []
    own = Path(built_in.__file__).parent
    for folder in (own, *folders):
        try:
            files = sorted(folder.glob("*.toml"))
        except OSError as error:
            problems.append(f"{folder}: {error.strerror}")
            continue
        for file in files:
            try:
                if not file.is_file():  # a pipe would be waited for
                    raise ThemeError(f"{file}: not an ordinary file")
                with file.open("rb") as stream:
                    theme = read_theme(stream.read(_LONGEST + 1), str(file))
            except OSError as error:
                problems.append(f"{file}: {error.strerror}")
            except ThemeError as error:
                problems.append(str(error))
            else:
                found[theme.name] = theme
    order = {"dark": 0, "light": 1, "high contrast": 2, "monochrome": 3}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[0], 9), item[0]))), problems


def styles(theme: Theme) -> dict[str, Style]:
    """A style for each role, for each in bold (``!``) and in reverse (``~``)."""
    background = theme.roles["background"]
    made: dict[str, Style] = {}
    for role in ROLES:
        colour = theme.roles[role]
        dim = (role in ("faint", "lost") and colour is None) or None
        bold = (role in ("title", "accent", "bad", "warn") and colour is None) or None
        made[role] = Style(color=colour, bgcolor=background, dim=dim, bold=bold)
        made[role + "!"] = Style(color=colour, bgcolor=background, bold=True)
        made[role + "~"] = Style(color=colour, bgcolor=background, reverse=True, bold=bold)
    return made
