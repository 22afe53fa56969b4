"""Fixtures of the end-to-end tests."""

from pathlib import Path

import pytest

from tests.clusters import Cluster
from tests.end_to_end.large import make_large
from tests.end_to_end.middle import operator_with_repository
from tests.end_to_end.operator import Operator
from tests.recorded import once_a_run


@pytest.fixture(scope="session")
def large() -> Cluster:
    """The large cluster, built once per run and read by all workers: its server is stopped, nobody may change it."""
    return once_a_run("large", make_large)


@pytest.fixture
def operator(large: Cluster, open_dir: Path) -> Operator:
    """An operator of the large cluster, with a repository of his own."""
    return operator_with_repository(large, open_dir)
