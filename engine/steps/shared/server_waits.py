"""What a server takes its time for, since it writes a checkpoint first: the run is served meanwhile."""

from typing import Literal

from engine.postgres.connecting import QueryFailed
from engine.postgres.server import Server
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import carried

STOP_TIMEOUT = 600.0  # seconds for all that is in shared_buffers


def stop(
    step: RunningStep, server: Server, mode: Literal["fast", "immediate"] = "fast", *, timeout: float = STOP_TIMEOUT
) -> None:
    """Stop a server and wait until its last process is gone. Raises Unreachable after ``timeout`` seconds, Stopped
    where the operator cancels: both leave it on its way down."""

    server.stop(mode, timeout=timeout, meanwhile=lambda: serve(step))


def serve(step: RunningStep) -> None:
    """Say what the step waits for. Raises Stopped where the operator cancels."""
    step.waiting("waiting for the server to end")
    step.safe_point()


def checkpoint(step: RunningStep, server: Server, *, timeout: float) -> str | None:
    """A checkpoint, or in recovery a restart point; why the server made none (None: it did), e.g. since the user may
    not. Raises Unreachable where it does not let us in, Stopped where the operator cancels."""

    def work(_: object) -> str | None:
        with server.connect(timeout=5, statement_timeout=timeout) as connection:
            try:
                connection.execute("CHECKPOINT")
            except QueryFailed as failure:
                return str(failure).strip()
        return None

    refusal: str | None = carried(step, work, on="the server, which writes a checkpoint")
    return refusal
