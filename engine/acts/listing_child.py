"""A snapshot's listing made in a process of its own: a million files take minutes of computing, during which a screen
must answer its keys, and their memory goes with the process. It ends with the one that asked for it.

    python -m engine.acts.listing_child PARENT SITE_FILE STATE SNAPSHOT

says a JSON value a line: entries done, as often as the snapshot has answered; at the end null, or an error.
"""

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.acts.desk import Desk, open_desk
from engine.catalog.waiting import PATIENCE
from engine.records import errors
from engine.records.errors import RepriseError, Unreachable
from engine.system.dying import die_with

_LETS_GO = 2.0  # seconds that a killed process gets to end; in a read that hangs it is left to the kernel


def make_listing(
    desk: Desk, snapshot: str, progress: Callable[[int], None], where: str, *, patience: float = PATIENCE
) -> None:
    """Have the listing made, and wait for it. Raises what making it raises; Unreachable after ``patience`` seconds
    without a word; RepriseError where the process dies."""
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    words = [str(os.getpid()), str(desk.site_file), str(desk.state), snapshot]
    child = subprocess.Popen(
        [sys.executable, "-m", "engine.acts.listing_child", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert child.stdout is not None
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            pending = b""
            while True:
                if not selector.select(patience):
                    raise Unreachable(
                        f"{where} does not answer",
                        cause=f"no answer from its file system within {patience:g} seconds",
                        remedy="see whether its mount or network is away; the rest of the site can still be used",
                    )
                data = os.read(child.stdout.fileno(), 1 << 16)
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    told = json.loads(line)
                    if not isinstance(told, int):
                        _end(told)
                        return
                    progress(told)
                if not data:
                    raise RepriseError("the process that lists the files died", remedy="ask again")
    finally:
        child.kill()
        child.stdout.close()
        with suppress(subprocess.TimeoutExpired):
            child.wait(_LETS_GO)


def _end(told: Any) -> None:
    if told is not None:
        kind: type[RepriseError] = getattr(errors, told["kind"], RepriseError)
        raise kind(told["message"], cause=told["cause"], remedy=told["remedy"])


def main(parent: str, site_file: str, state: str, snapshot: str) -> None:
    """The process."""
    die_with(int(parent))
    from engine.acts.browsing import write_listing

    told: object = None
    try:
        write_listing(open_desk(Path(site_file), Path(state)), snapshot, _say)
    except RepriseError as error:
        kind = type(error).__name__
        told = {"kind": kind, "message": error.message, "cause": error.cause, "remedy": error.remedy}
    _say(told)


def _say(told: object) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
