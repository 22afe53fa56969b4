"""The operator's own settings: the theme that was chosen, keys that were remapped. A TOML file, read and rewritten."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

import platformdirs
import tomli_w
from msgspec import Struct, field


class Settings(Struct, frozen=True):
    """``theme`` by name; ``keys``: a binding's id to the keys that shall do it, e.g. ``quit = "Q"``."""

    theme: str = "dark"
    keys: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None


def folder() -> Path:
    """Where settings and the operator's own themes lie."""
    return platformdirs.user_config_path("reprise")


def read_settings(path: Path | None = None) -> Settings:
    """Read the settings; a broken file is reported in ``problem``, and the defaults hold."""
    path = path or folder() / "settings.toml"
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            return Settings(problem=f"{path}: not an ordinary file")
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError, RecursionError) as error:
        return Settings(problem=f"{path}: {error}")
    theme, keys = document.get("theme", "dark"), document.get("keys", {})
    if not isinstance(theme, str):
        return Settings(problem=f"{path}: theme: a text is wanted")
    if not isinstance(keys, dict) or not all(isinstance(value, str) for value in keys.values()):
        return Settings(theme, problem=f'{path}: keys: texts are wanted, like quit = "Q"')
    return Settings(theme, keys)


def remember_theme(name: str, path: Path | None = None) -> str | None:
    """Write the chosen theme, all else kept. Answers what went wrong, if anything did."""
    path = path or folder() / "settings.toml"
    try:
        document = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
        document["theme"] = name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text(tomli_w.dumps(document), "utf-8")
        draft.replace(path)
    except (OSError, ValueError, RecursionError) as error:
        return f"the theme cannot be remembered: {path}: {error}"
    return None
