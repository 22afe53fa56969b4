"""``python -m engine.cli``: the command line without a screen, for where this program calls itself."""

import sys
from typing import Any

from engine.cli import main
from engine.records.errors import UsageError


def _no_screen(*desk: Any, **options: Any) -> int:
    raise UsageError("here is no screen", remedy="name a command, or start: reprise")


if __name__ == "__main__":
    sys.exit(main(open_screen=_no_screen))
