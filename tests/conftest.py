"""Fixtures for all tests: the PostgreSQL of this run, real clusters, and what is recorded once and read by many."""

import gc
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from engine.records.survey import OsUser, Programs
from engine.system.users import everyday_user
from tests.clusters import Cluster, end_engines, kill_processes_below, make_cluster, test_programs, test_root
from tests.histories import History, record_history
from tests.recorded import once_a_run
from tests.transfer.backups import Backups, take_backups

_ROOT = "REPRISE_TEST_ROOT"

# The drills of one state folder share one lab: one worker gets all of these.
_ONE_PLACE = ("tests/drill/test_scenarios.py", "tests/drill/test_on_the_screen.py")

# Several workers and the servers that they start share the processors: seconds say little, only a hang is one.
hypothesis.settings.register_profile(
    "shared", deadline=timedelta(seconds=5), suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared")


def pytest_configure(config: pytest.Config) -> None:
    # A shell that starts the suite in the background has it ignore these, and so would all that the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    if _ROOT not in os.environ:  # workers of xdist inherit the controller's
        folder = Path(tempfile.mkdtemp(prefix="rt-", dir="/var/tmp"))
        folder.chmod(0o755)
        _spread(folder)
        os.environ[_ROOT] = str(folder)
        config.stash[_owned] = folder


def _spread(folder: Path) -> None:
    """Have ext4 spread the folders in this one over the disk (chattr(1), T). Without a journal it looks, for each file
    that it makes, at all inodes nearby that were deleted in the last minutes (recently_deleted in the kernel's
    fs/ext4/ialloc.c): with all tests in one corner, a copy costs three times as much. Elsewhere it changes nothing."""
    if (chattr := shutil.which("chattr")) is not None:
        subprocess.run([chattr, "+T", folder], stderr=subprocess.DEVNULL, check=False)


def pytest_unconfigure(config: pytest.Config) -> None:
    folder = config.stash.get(_owned, None)
    if folder is not None:
        kill_processes_below(folder)
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.pop(_ROOT, None)


_owned: pytest.StashKey[Path] = pytest.StashKey()


class _Scheduling(LoadScopeScheduling):
    """Tests go to the workers one by one, in their order; those of a module that makes something for all of them in one
    go, or each worker would make it. (xdist's own marker for that, xdist_group, does nothing with pytest 9: it writes
    the group into the test's name, which cannot be written to.)"""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        if module in _ONE_PLACE:
            return _ONE_PLACE[0]
        return module if _shares(self.config.rootpath / module) else nodeid


@cache
def _shares(module: Path) -> bool:
    """Whether this module makes something for all its tests, or borrows what a conftest.py makes so."""
    text = module.read_text()
    return 'scope="module"' in text or "(lent: Cluster)" in text or str(module).endswith(_ONE_PLACE)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    config.option.loadscopereorder = False  # as pytest_collection_modifyitems leaves them
    return _Scheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What collecting makes stays to the end: Python's collector need not look through it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """For several workers: what takes long comes first, or one is left alone with it in the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: (item.get_closest_marker("slow") is None, not _shares(item.path)))


@pytest.fixture(scope="session")
def programs() -> Programs:
    """The PostgreSQL of this run (REPRISE_TEST_POSTGRES), readable by ``os_user``."""
    return test_programs()


@pytest.fixture(scope="session")
def os_user() -> OsUser:
    """An ordinary user for PostgreSQL's programs."""
    return everyday_user()


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """An empty folder with a short path, owned by ``os_user``: for what PostgreSQL's programs must reach (pytest's
    tmp_path is closed to other users)."""
    folder = Path(tempfile.mkdtemp(prefix="d-", dir=test_root()))
    folder.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(folder, everyday_user().uid, everyday_user().gid)
    yield folder
    end_engines(folder)
    kill_processes_below(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def new_cluster() -> Iterator[Callable[..., Cluster]]:
    """A maker of clusters (arguments: tests.clusters.make_cluster); all are destroyed when the test ends."""
    made: list[Cluster] = []

    def make(name: str = "c", **settings: object) -> Cluster:
        made.append(make_cluster(name, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for cluster in made:
        cluster.destroy()


@pytest.fixture
def cluster(new_cluster: Callable[..., Cluster]) -> Cluster:
    """A fresh running cluster with an archive, segments of 1 MB."""
    return new_cluster()


@pytest.fixture(scope="session")
def history() -> History:
    """A recorded history over two timelines, with a backup in every format."""
    return once_a_run("history", lambda: record_history(make_cluster("history")))


@pytest.fixture(scope="session")
def backups() -> Backups:
    """Base backups with a tablespace and an odd name, in every format."""
    return once_a_run("backups", lambda: take_backups(make_cluster("backups")))
