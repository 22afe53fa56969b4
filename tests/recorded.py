"""What is recorded once a run of the tests and read by all workers: a cluster's life, a set of backups, an archive."""

import fcntl
import pickle
from collections.abc import Callable
from typing import TypeVar

from tests.clusters import test_root

Recorded = TypeVar("Recorded")


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
