"""Modules of this program as programs of their own: ``python -m engine.…``, with this very checkout or installation."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

_SOURCE = Path(__file__).resolve().parents[2]


def our_program(module: str, *arguments: str | Path) -> list[str]:
    """The command line of one of our modules, in the Python that we run in."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def our_environment() -> dict[str, str]:
    """Our environment, in which Python finds our modules from whatever folder it is started in."""
    paths: Sequence[str] = (str(_SOURCE), os.environ.get("PYTHONPATH", ""))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
