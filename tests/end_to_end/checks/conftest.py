"""A site of a test's own on the recorded history."""

from pathlib import Path

import pytest

from tests.end_to_end.checks.place import Place, make_place
from tests.histories import History


@pytest.fixture
def place(history: History, open_dir: Path) -> Place:
    return make_place(history.cluster, open_dir)
