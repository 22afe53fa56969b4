"""One set of real backups for all tests of this folder, built once per worker."""

from collections.abc import Iterator

import pytest

from tests.clusters import make_cluster
from tests.transfer.backups import Backups, take_backups


@pytest.fixture(scope="session")
def backups() -> Iterator[Backups]:
    cluster = make_cluster("transfer")
    try:
        yield take_backups(cluster)
    finally:
        cluster.destroy()
