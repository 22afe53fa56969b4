"""A dump read to its end. pg_restore --list accepts half a dump; writing all of it to nowhere does not."""

import re
from pathlib import Path
from typing import Literal

from engine.postgres.running import run
from engine.records.errors import DamagedCopy, RepriseError
from engine.records.survey import OsUser, Programs
from engine.transfer.naming import shown
from engine.transfer.opening import open_compressed

_CLOSING = b"-- PostgreSQL database dump complete"
_CLUSTER_CLOSING = b"-- PostgreSQL database cluster dump complete"
# pg_backup_archiver.c, compress_io.c: of a later version's dump, and of one packed as this build cannot
_NOT_READ_HERE = re.compile("unsupported version|does not support compression|compression is not supported")
_TAIL = 4096  # bytes: behind the closing line stand empty lines, and since 2025 an \unrestrict


def read_through(programs: Programs, dump: Path, format: Literal["custom", "directory", "plain"], user: OsUser) -> None:
    """Raises DamagedCopy where the dump is not whole, RepriseError where that cannot be told: pg_restore is not there,
    or is one that cannot read such a dump."""
    if format == "plain":
        expect_closing(dump, _CLOSING)
        return
    try:
        run(programs, "pg_restore", "--file=/dev/null", dump, user=user, cwd=dump.parent, timeout=None)
    except RepriseError as error:
        if not error.message.startswith("pg_restore failed") or _NOT_READ_HERE.search(error.cause or ""):
            raise
        raise DamagedCopy(f"the dump {shown(dump)} cannot be read to its end", cause=error.cause) from None


def read_globals_through(path: Path) -> None:
    """A dump of roles and tablespaces. Raises DamagedCopy where it is not whole."""
    expect_closing(path, _CLUSTER_CLOSING)


def expect_closing(path: Path, closing: bytes) -> None:
    tail = b""
    with open_compressed(path) as file:
        while piece := file.read(1 << 20):
            tail = (tail + piece)[-_TAIL:]
    if closing not in tail.splitlines():
        raise DamagedCopy(f"the dump {shown(path)} is cut off", cause="it does not end with pg_dump's closing line")
