"""One state folder for all drills of a run, so that the base of their lab is built once."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import acts
from engine.drill.base import lab_place
from engine.records.errors import UsageError
from tests.clusters import kill_processes_below, test_root, wait_until
from tests.drill.standing import left_behind


@pytest.fixture(scope="session")
def state() -> Iterator[Path]:
    """A state folder, and with the first drill the base of its lab."""
    place = test_root() / f"drills-{os.getpid()}"
    place.mkdir(mode=0o755)
    yield place
    if (here := lab_place(place)).exists():
        kill_processes_below(here)


@pytest.fixture
def ended(state: Path) -> Iterator[None]:
    """After each test no drill is open, and nothing of one runs."""
    yield
    with pytest.raises(UsageError):
        acts.end_drill(state)
        acts.end_drill(state)
    wait_until(lambda: left_behind(state) == [], "something of a drill runs on", timeout=10)
