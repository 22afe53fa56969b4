"""`throw-away`: the server stopped, the copy deleted with all that the run has made around it. What the run did not
make stays: nothing is deleted but by its name, in a container that bears this run's marker.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from engine.records.errors import RunFailed
from engine.records.plan import Layout
from engine.steps.combine import building_of
from engine.steps.prepare import MARKER, run_of
from engine.steps.protocol import RunningStep
from engine.steps.report import KEPT_LOG
from engine.steps.shared.layout import layout_of
from engine.steps.shared.recovering import stop_recovering
from engine.transfer.durable import fsync_path
from engine.transfer.failures import writing
from engine.transfer.naming import shown
from engine.transfer.removing import remove_if_empty, remove_tree


def apply(step: RunningStep) -> None:
    """Applied again, it goes on. Raises RunFailed where another run's marker stands there."""
    layout = layout_of(step.plan)
    container = Path(layout.container)
    stop_recovering(step)
    if (container / MARKER).exists():
        if run_of(container) != step.run_dir.name:
            raise RunFailed(f"{shown(container)} is not this run's: it stays", remedy="look into it by hand")
        for folder in _made(layout):
            step.safe_point()
            remove_tree(folder)
        with writing(container):
            (container / MARKER).unlink()
            fsync_path(container)
    remove_if_empty(container)
    if container.exists():
        step.log(f"{shown(container)} holds what this run did not make; it stays")
    kept = step.run_dir / KEPT_LOG
    step.server(data_dir=None, host=None, port=None, log=os.fspath(kept) if kept.exists() else None)


def undo(step: RunningStep) -> None:
    """What is gone is gone: it was a copy."""


def _made(layout: Layout) -> Iterator[Path]:
    for folder in (layout.data_dir, layout.staging, layout.work, layout.socket_dir):
        yield Path(folder)
    yield building_of(layout)
    for place in layout.tablespaces:
        yield Path(place.built_at)
    if layout.tablespaces:
        yield Path(layout.tablespaces[0].built_at).parent
