"""The screen, opened on a site. A file of its own: a screen needs none of the documents that the commands write, and
what they import would hold its first paint up."""

import argparse
from collections.abc import Callable
from pathlib import Path

from engine import acts


def open_on(site: Path | None, given: argparse.Namespace, open_screen: Callable[..., int]) -> int:
    """Open the screen, with the options that were given. Returns the exit code; raises RepriseError."""
    desk = acts.open_desk(site, given.state, read_only=given.read_only)
    return open_screen(desk, ascii=given.ascii, mouse=not given.no_mouse)
