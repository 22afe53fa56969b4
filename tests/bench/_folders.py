"""Where a benchmark works."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def folder_on_disk() -> Iterator[Path]:
    """An empty folder, on a disk (``/tmp`` may be memory); gone afterwards, with all in it."""
    with tempfile.TemporaryDirectory(prefix="reprise-bench-", dir="/var/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def folder_of_clusters() -> Iterator[Path]:
    """The same, in which `tests.clusters` makes its clusters."""
    with folder_on_disk() as folder:
        folder.chmod(0o755)
        os.environ["REPRISE_TEST_ROOT"] = str(folder)
        yield folder
