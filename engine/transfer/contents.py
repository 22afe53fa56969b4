"""Which of a backup's files belong into a copy that is to be recovered.

PostgreSQL manual, "Making a Base Backup Using the Low Level API", and src/backend/backup/basebackup.c: what
pg_basebackup leaves out may be left out of a copy too; pg_verifybackup.c: what a manifest says nothing about.
"""

import re

CONTROL = "global/pg_control"
HELD_BACK_CONTROL = "global/pg_control.reprise"
MANIFEST = "backup_manifest"
TABLESPACE_MAP = "tablespace_map"
TABLESPACES = "pg_tblspc"

# The server makes their contents anew; only the folders are needed. pg_wal must be empty behind a gate.
EMPTIED = (
    "pg_wal", "pg_dynshmem", "pg_notify", "pg_replslot", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans"
)  # fmt: skip
_DROPPED = frozenset(
    ("postmaster.pid", "postmaster.opts", "recovery.signal", "standby.signal", "recovery.conf",
     "postgresql.auto.conf.tmp", "current_logfiles.tmp")
)  # fmt: skip
_TEMPORARY = re.compile(r"pgsql_tmp|pg_internal\.init")
# pg_verifybackup ignores them too: pg_basebackup -R writes into them behind the manifest's back.
_NOT_IN_MANIFEST = frozenset(("postgresql.auto.conf", "recovery.signal", "standby.signal", MANIFEST))

_TABLESPACE = re.compile(r"pg_tblspc/([1-9][0-9]{0,9})(?:/(.+))?\Z", re.DOTALL)


def below_emptied(path: str) -> bool:
    """Whether a path lies below a folder whose contents are not copied."""
    top, slash, _ = path.partition("/")
    return bool(slash) and top in EMPTIED


def is_dropped(path: str) -> bool:
    """Whether a file is left out of the copy. Where a manifest lists it, it is verified all the same."""
    return below_emptied(path) or path in _DROPPED or any(_TEMPORARY.match(part) for part in path.split("/"))


def is_verified(path: str) -> bool:
    """Whether a manifest speaks of a path."""
    return path not in _NOT_IN_MANIFEST and not path.startswith("pg_wal/")


def tablespace_of(path: str) -> tuple[int, str] | None:
    """``pg_tblspc/16384/PG_15_…/5/1259`` is in tablespace 16384, as ``PG_15_…/5/1259``; None for other paths."""
    found = _TABLESPACE.match(path)
    return (int(found[1]), found[2] or "") if found else None
