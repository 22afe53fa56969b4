"""One archive for each PostgreSQL, made once for all tests of the room."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.wal.index import WalIndex
from tests.clusters import wanted_programs
from tests.wal.real_wal import RealWal, make

PROGRAMS = {("embedded" if programs.embedded else str(programs.version)): programs for programs in wanted_programs()}


@pytest.fixture(scope="session")
def made() -> Iterator[Callable[[str], RealWal]]:
    """Makes an archive when it is asked for the first time."""
    there: dict[str, RealWal] = {}
    # Not pytest's own folder: that one is closed to the servers' user, and too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="reprise-wal-", dir="/var/tmp"))
    folder.chmod(0o755)

    def get(name: str) -> RealWal:
        if name not in there:
            (folder / name).mkdir(mode=0o755)
            there[name] = make(PROGRAMS[name], folder / name)
        return there[name]

    try:
        yield get
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session", params=sorted(PROGRAMS))
def wal(request: pytest.FixtureRequest, made: Callable[[str], RealWal]) -> RealWal:
    """The archive of each PostgreSQL in turn."""
    return made(request.param)


@pytest.fixture(scope="session")
def one_wal(made: Callable[[str], RealWal]) -> RealWal:
    """The archive of one PostgreSQL, where it does not matter which."""
    return made(sorted(PROGRAMS)[0])


@pytest.fixture
def open_index(tmp_path: Path) -> Iterator[Callable[..., WalIndex]]:
    opened: list[WalIndex] = []

    def open_(name: str = "index.sqlite") -> WalIndex:
        opened.append(WalIndex.open(tmp_path / name))
        return opened[-1]

    yield open_
    for index in opened:
        index.close()
