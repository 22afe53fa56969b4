"""What is recorded once a run of the tests and read by all workers: a cluster's life, a set of backups, an archive."""

import fcntl
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Recorded = TypeVar("Recorded")


def test_root() -> Path:
    """The folder of this test run, which every user may enter; conftest.py makes and removes it."""
    return Path(os.environ["REPRISE_TEST_ROOT"])


test_root.__test__ = False  # type: ignore[attr-defined]


def once_a_run(name: str, record: Callable[[], Recorded]) -> Recorded:
    """What ``record`` returned to the first worker that asked for ``name``; the others wait for it and get it as a
    pickle. Its files lie below test_root(), and its servers are stopped: tests change copies of it, never itself."""
    kept = test_root() / f"{name}.pickle"
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            draft = kept.with_suffix(".new")
            draft.write_bytes(pickle.dumps(record()))
            draft.rename(kept)
    found: Recorded = pickle.loads(kept.read_bytes())
    return found
