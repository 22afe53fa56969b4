"""One cluster with a written ledger for each PostgreSQL, for all tests of the recovering server."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.records.target import RecoveryPoint
from engine.steps import replay, settings
from tests.clusters import own
from tests.recorded import once_a_run
from tests.steps.ledger import Ledger, record_ledger
from tests.steps.rehearsal import Rehearsal


@pytest.fixture(params=["first", "last"])
def ledger(request: pytest.FixtureRequest, open_dir: Path) -> Ledger:
    """On the machine's PostgreSQL and on the embedded build; the archive is a copy, which the test may damage."""
    recorded = once_a_run(f"ledger-{request.param}", lambda: record_ledger(request.param))
    archive = open_dir / "archive"
    shutil.copytree(recorded.origin.archive, archive)
    own(archive, recorded.origin.cluster.user)
    return replace(recorded, origin=replace(recorded.origin, archive=archive))


@pytest.fixture
def begun(ledger: Ledger, open_dir: Path) -> Iterator[Callable[[RecoveryPoint], Rehearsal]]:
    """A recovery that stands at its gate."""
    made: list[Rehearsal] = []

    def begin(point: RecoveryPoint) -> Rehearsal:
        step = ledger.origin.rehearse(point, open_dir / "copy")
        made.append(step)
        settings.apply(step)
        replay.apply(step)
        return step

    yield begin
    for step in made:
        step.end()
