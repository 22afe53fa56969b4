"""One archive for each PostgreSQL, made once for all tests of the room."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.wal.index import WalIndex
from tests.clusters import test_root, wanted_programs
from tests.recorded import once_a_run
from tests.wal.real_wal import RealWal, make

PROGRAMS = {("embedded" if programs.embedded else str(programs.version)): programs for programs in wanted_programs()}


def recorded(name: str) -> RealWal:
    def record() -> RealWal:
        # Not pytest's own folder: that one is closed to the servers' user, and too long for a socket.
        folder = test_root() / f"wal-{name}"
        folder.mkdir(mode=0o755)
        return make(PROGRAMS[name], folder)

    return once_a_run(f"wal-{name}", record)


@pytest.fixture(scope="session", params=sorted(PROGRAMS))
def wal(request: pytest.FixtureRequest) -> RealWal:
    """The archive of each PostgreSQL in turn."""
    return recorded(request.param)


@pytest.fixture(scope="session")
def one_wal() -> RealWal:
    """The archive of one PostgreSQL, where it does not matter which."""
    return recorded(sorted(PROGRAMS)[0])


@pytest.fixture
def open_index(tmp_path: Path) -> Iterator[Callable[..., WalIndex]]:
    opened: list[WalIndex] = []

    def open_(name: str = "index.sqlite") -> WalIndex:
        opened.append(WalIndex.open(tmp_path / name))
        return opened[-1]

    yield open_
    for index in opened:
        index.close()
