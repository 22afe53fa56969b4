"""A data directory as initdb makes it: made once a run for each PostgreSQL, and copied, which takes a tenth of that."""

import secrets
import struct
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import crc32c

from engine.postgres.running import run
from engine.records.survey import OsUser, Programs
from engine.system.users import give
from tests.recorded import once_a_run, test_root

_SYSTEM_IDENTIFIER = 0  # its place in pg_control (ControlFileData in pg_control.h), whose CRC comes last
_XLP_SYSID = 24  # its place in a segment's first page (XLogLongPageHeaderData in xlog_internal.h)


def initialise(data_dir: Path, programs: Programs, user: OsUser, segment_mb: int) -> None:
    """A new cluster, with checksums, that only ``postgres`` may log in to; its system identifier is its own."""
    made = once_a_run(f"initdb-{programs.version}-{segment_mb}", partial(_initdb, programs, user, segment_mb))
    subprocess.run(["cp", "-a", made, data_dir], check=True)
    identifier = struct.pack("=Q", secrets.randbits(63))
    for segment in (data_dir / "pg_wal").glob("0*"):
        _overwrite(segment, _XLP_SYSID, identifier)
    control = data_dir / "global" / "pg_control"
    crc_at = _crc_at(control.read_bytes())
    _overwrite(control, _SYSTEM_IDENTIFIER, identifier)
    _overwrite(control, crc_at, struct.pack("=I", crc32c.crc32c(control.read_bytes()[:crc_at])))


def _initdb(programs: Programs, user: OsUser, segment_mb: int) -> Path:
    home = Path(tempfile.mkdtemp(prefix="initdb-", dir=test_root()))
    give(home, user)
    arguments = ["-D", str(home / "data"), "-U", "postgres", "-A", "peer", "-E", "UTF8", "--locale=C", "--no-sync"]
    run(programs, "initdb", *arguments, "--data-checksums", f"--wal-segsize={segment_mb}", user=user, cwd=home)
    return home / "data"


def _crc_at(control: bytes) -> int:
    """Where pg_control's CRC stands; behind it are zeros."""
    end = len(control.rstrip(b"\0"))
    return next(
        at for at in range(end - 4, end) if struct.pack("=I", crc32c.crc32c(control[:at])) == control[at : at + 4]
    )


def _overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)
