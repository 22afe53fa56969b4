"""A screen of the running application as a picture: Textual's own SVG, made into PNG without any font from the web."""

import re
from pathlib import Path

from textual.app import App

_FAMILY = "DejaVu Sans Mono"
_WEB_FONT = re.compile(r"@font-face \{.*?\}", re.DOTALL)


def svg_of(app: App[None], title: str = "") -> str:
    """The screen as SVG; its web fonts replaced by one that every desktop has."""
    svg = app.export_screenshot(title=title)
    return _WEB_FONT.sub("", svg).replace("Fira Code", _FAMILY)


def write_png(app: App[None], path: Path, title: str = "") -> None:
    """The screen as PNG; needs the font on this machine (fonts-dejavu-core)."""
    import resvg_py

    data = resvg_py.svg_to_bytes(svg_string=svg_of(app, title), monospace_family=_FAMILY, font_family=_FAMILY)
    path.write_bytes(bytes(data))
