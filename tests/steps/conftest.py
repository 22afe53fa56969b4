"""One cluster with a written ledger for each PostgreSQL, for all tests of the recovering server."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.clusters import own
from tests.recorded import once_a_run
from tests.steps.ledger import Ledger, record_ledger


@pytest.fixture(params=["first", "last"])
def ledger(request: pytest.FixtureRequest, open_dir: Path) -> Ledger:
    """On the machine's PostgreSQL and on the embedded build; the archive is a copy, which the test may damage."""
    recorded = once_a_run(f"ledger-{request.param}", lambda: record_ledger(request.param))
    archive = open_dir / "archive"
    shutil.copytree(recorded.origin.archive, archive)
    own(archive, recorded.origin.cluster.user)
    return replace(recorded, origin=replace(recorded.origin, archive=archive))
