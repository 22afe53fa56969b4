"""The lab: a real cluster with history, to look around and to practise."""

from collections.abc import Callable
from pathlib import Path

from engine.lab.building import build_lab
from engine.lab.lab import Lab
from engine.site import state_dir


def demo(directory: Path | None, state: Path | None, *, reset: bool, progress: Callable[[int, int, str], None]) -> Lab:
    """The demo site, built if need be; its server is stopped."""
    return build_lab(directory, state_dir(state).absolute(), reset=reset, progress=progress)
