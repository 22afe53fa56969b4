"""``python -m tests.tui.show [--ascii] [--running]``: the program on the stand-in, for tests in a real terminal."""

import sys

from engine.records.plan import Destination
from engine.records.target import RecoveryTarget
from tests.tui.history import ACCIDENT, NOW, lsn_at
from tests.tui.source import StandIn, desk, run_state
from tui import terminal
from tui.app import RepriseApp


def main() -> int:
    source = StandIn()
    if "--running" in sys.argv:
        target = RecoveryTarget("lsn", lsn=lsn_at(ACCIDENT), exclusive=True, timeline=2)
        made = source.plan(desk(), target, Destination("side-copy", "/srv/restore/orders"), action="pause")
        source.state = run_state(made)
    glyphs = terminal.choose_glyphs("--ascii" in sys.argv)
    app = RepriseApp(desk(), source, glyphs=glyphs, clock=lambda: NOW, colourless=terminal.no_colour())
    app.mind_hang_up = True
    app.run(mouse="--no-mouse" not in sys.argv)
    return app.return_code or 0


if __name__ == "__main__":
    sys.exit(main())
