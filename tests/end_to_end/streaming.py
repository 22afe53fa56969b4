"""`archiving stream` of a test: begun, seen to be there, and ended for sure."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clusters import Cluster, wait_until
from tests.end_to_end.operator import CHECKOUT, Operator

STREAMED_ALL = """
SELECT coalesce(bool_or(state = 'streaming' AND flush_lsn >= pg_current_wal_flush_lsn()), false)
FROM pg_stat_replication
"""
_CONNECTED = "SELECT count(*) FROM pg_stat_replication"
_STREAMING = f"{_CONNECTED} WHERE state = 'streaming'"  # whoever makes the slot is connected for a moment too


@contextmanager
def streaming(operator: Operator) -> Iterator[subprocess.Popen[bytes]]:
    """`archiving stream` on the operator's cluster, which archives nothing else."""
    cluster = operator.cluster
    wait_until(lambda: cluster.value(_CONNECTED) == 0, "an earlier stream is still seen")  # its end takes a moment
    words = operator.command("archiving", "stream")
    stream = subprocess.Popen(words, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: cluster.value(_STREAMING) > 0, "nothing streams")
        yield stream
    finally:
        stream.kill()
        stream.wait()
        for pid in receivers(cluster):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not receivers(cluster), "the stream goes on")


def receivers(cluster: Cluster) -> list[int]:
    """The pg_receivewal that write into a cluster's archive."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            words = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"pg_receivewal" in words and os.fsencode(cluster.archive) in words:
            found.append(int(process.name))
    return found
