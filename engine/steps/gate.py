"""Wait at the gate for the operator: finish, advance, or leave."""

import shlex
import time
from collections.abc import Mapping
from typing import Any

from engine.postgres.server import Server
from engine.records.errors import RepriseError
from engine.records.history import TransactionEnd
from engine.records.lsn import format_lsn
from engine.records.runs import Reached
from engine.records.target import RecoveryPoint
from engine.steps.files import choose
from engine.steps.protocol import RunningStep
from engine.steps.prove import prove
from engine.steps.settings import reaches_the_point, write_configuration
from engine.steps.shared import server_waits
from engine.steps.shared.layout import control_of, layout_of
from engine.steps.shared.points import current_point, gate_lsn, read_point, tell_point
from engine.steps.shared.recovering import ensure_recovering, feed_lives, server_of
from engine.steps.shared.watching import Watch

_TRY_AGAIN = 30.0  # seconds until what died behind the gate is started again once more


def apply(step: RunningStep) -> None:
    """Returns when the operator says finish and where the server stands is proven. Each advance raises the gate,
    replays to it, proves it, chooses the files that match it, and waits again. Applied again after a crash, it goes on
    at the newest gate."""
    server = server_of(step)
    note: str | None = None
    while True:
        point = current_point(step)
        configure(step, server)
        feed = ensure_recovering(step, server)
        Watch(step, server, feed).replay_to(point)
        reached = prove(step, server, point)
        choose.apply_again(step)
        guard = Guard(step, server)
        answer = step.wait_for_answer(finding(step, point, reached, note), meanwhile=guard.look)
        note = None
        if answer.act == "finish":
            if reached.proven:
                return
            note = f"not finished: {reached.finding}"
        elif answer.target is None:
            note = "not advanced: no target came with the answer"
        else:
            note = advance(step, point, answer.target)


def undo(step: RunningStep) -> None:
    """Nothing was changed."""


def configure(step: RunningStep, server: Server) -> None:
    """What a later point needs of the server's configuration, timeline or limits, are start-up settings: it is stopped
    and written anew, and goes on at its last restart point. What stands there is asked, not what was done: an engine
    may have died on the way."""
    if not reaches_the_point(step, control_of(server.data_dir)):
        step.log("the later gate needs another configuration: the server is started again with it")
        server_waits.stop(step, server)
        write_configuration(step, control_of(server.data_dir), recovering=True)


class Guard:
    """Looks after the server and its feed while the run waits: what died is started again, and that is said."""

    def __init__(self, step: RunningStep, server: Server) -> None:
        self.step, self.server = step, server
        self._not_before = 0.0
        self._said = ""

    def look(self) -> None:
        server_lives = self.server.pid() is not None
        if (server_lives and feed_lives(self.step)) or time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + _TRY_AGAIN
        what = "WAL feed" if server_lives else "server"
        try:
            ensure_recovering(self.step, self.server)
            text = f"the {what} ended while the run waited at the gate, and was started again"
        except (RepriseError, OSError) as error:
            text = f"the {what} ended while the run waited at the gate, and cannot be started: {error}"
        self.step.log(text)
        if text != self._said:
            self.step.note(text=text)
            self._said = text


def advance(step: RunningStep, point: RecoveryPoint, target: Mapping[str, Any]) -> str | None:
    """Go to a later point from now on; or why not."""
    later = read_point(target)
    if gate_lsn(later) < gate_lsn(point):
        return (
            f"not advanced: {format_lsn(gate_lsn(later))} lies before the gate {format_lsn(gate_lsn(point))}; "
            "going back needs a new copy"
        )
    if not follows(later, point):
        return f"not advanced: timeline {later.timeline} left the recovered line before the gate"
    tell_point(step, later)
    step.log(f"gate raised to {format_lsn(gate_lsn(later))}")
    return None


def follows(later: RecoveryPoint, point: RecoveryPoint) -> bool:
    """Whether the WAL to the later gate goes through the present one."""
    gate, timeline = gate_lsn(point), point.pieces[-1].timeline
    return any(piece.timeline == timeline and piece.low <= gate <= piece.high for piece in later.pieces)


def finding(step: RunningStep, point: RecoveryPoint, reached: Reached, note: str | None) -> dict[str, Any]:
    """What the operator is shown at the gate. JSON values only."""
    layout = layout_of(step.plan)
    database = step.site.database
    psql = "psql", "-h", layout.socket_dir, "-p", str(layout.port)
    return {
        "lsn": format_lsn(gate_lsn(point)),
        "timeline": point.timeline,
        "proven": reached.proven,
        "finding": reached.finding,
        "kept": _end(point.kept),
        "lost": _end(point.lost),
        "lost_commits": point.lost_commits,
        "host": layout.socket_dir,
        "port": layout.port,
        "psql": shlex.join([*psql, "-U", database.user, "-d", database.dbname]),
        "note": note,
    }


def _end(end: TransactionEnd | None) -> dict[str, Any] | None:
    if end is None:
        return None
    return {"lsn": format_lsn(end.lsn), "xid": end.xid, "at": end.at.isoformat(), "kind": end.kind}
