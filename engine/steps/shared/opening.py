"""A server at the gate that takes no connections (`pause-ignored`) is waited for once, not by each step that asks it.

Where a snapshot overflowed at the backup's start, hot standby never begins. A server that has just come to its gate may
still be opening itself, so it gets a moment; what was found out then is kept here for this engine's other steps.
"""

from pathlib import Path

from engine.postgres.server import Server
from engine.records.lsn import Lsn

OPENING = 5.0  # seconds for a server that has just come to the gate to open itself to connections

_closed: set[tuple[Path, int | None, Lsn]] = set()


def patience(server: Server, gate: Lsn) -> float:
    """Seconds to wait until the server at this gate takes connections: none where it was waited for before. It is to
    be asked once all the same."""
    return 0.0 if _standing(server, gate) in _closed else OPENING


def found_closed(server: Server, gate: Lsn) -> None:
    """It was waited for, and takes none: as long as the same postmaster stands at the same gate."""
    _closed.add(_standing(server, gate))


def _standing(server: Server, gate: Lsn) -> tuple[Path, int | None, Lsn]:
    return server.data_dir, server.pid(), gate
