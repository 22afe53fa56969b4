"""The plan of a base backup: full, or incremental against the newest backup of the chain (PostgreSQL 17 on)."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct

from engine.backup.planning import Place, copying_at, make_plan, place_checks
from engine.records.copies import BaseBackup
from engine.records.plan import Check, Plan, PlannedStep
from engine.records.survey import LiveServer, OsUser, Programs
from engine.recovery.estimates import Measured

LONGEST_CHAIN = 14  # increments on one full backup: each one more to read, and to be whole, when it is restored
INCREMENTAL_SINCE, _ZSTD_SINCE = 17, 15  # PostgreSQL's release notes


class Asked(Struct, frozen=True):
    """What the operator wants, and how the server is reached. ``full_every``: seconds after which a chain wants a new
    full backup (the policy's database_full); None: only its length counts."""

    site: str
    incremental: bool
    format: Literal["tar", "plain"]
    host: str
    port: int
    user: str
    full_every: int | None = None
    wal: str | None = None
    data_dir: str = ""
    site_file: str | None = None
    second: str | None = None


def plan_base(
    asked: Asked,
    place: Place,
    server: LiveServer | None,
    no_server: str | None,
    backups: Sequence[BaseBackup],
    *,
    owner: OsUser,
    programs: Programs | None,
    now: datetime,
    measured: Iterable[Measured] = (),
    failed: Collection[str] = (),
) -> Plan:
    """``server`` None: it does not answer, and ``no_server`` says why. ``backups`` are the repository's; ``failed``:
    the ids of those whose last proof found damage."""
    parent, why_full = choose_parent(asked, server, backups, now, failed)
    kind = "incremental" if parent is not None else "full"
    name = f"{now:%Y%m%dT%H%M%SZ}-{kind}"
    compress = compression_for(programs) if asked.format == "tar" else None
    size = server.size_bytes if server is not None else None
    copying = copying_at(
        "base", place, name, owner, programs=programs, parent=parent.id if parent else None, second=asked.second
    )
    manifest = str(parent.path / "backup_manifest") if parent is not None else None
    reach = {"host": asked.host, "port": asked.port, "user": asked.user}
    title = f"take a{'n incremental' if parent else ' full'} base backup"
    title += f" against {parent.id}" if parent is not None else ""
    steps = [
        PlannedStep("take-base", "take-base", title, size if parent is None else None,
                    {"format": asked.format, "compress": compress, "manifest": manifest, **reach}),
        PlannedStep("beside", "beside", "keep beside it what a bare machine needs", None,
                    {**reach, "data_dir": asked.data_dir, "site_file": asked.site_file}),
        PlannedStep("verify-copy", "verify-copy", "read it back and verify it", size if parent is None else None,
                    {"format": asked.format}),
    ]  # fmt: skip
    checks = [*_server_checks(asked, server, no_server, programs)]
    checks += [Check("incremental", "info", True, why_full)] if why_full else []
    checks += place_checks(place, owner, size)
    return make_plan(asked.site, now, copying, steps, checks, bytes=size, wal=asked.wal, measured=measured)


def choose_parent(
    asked: Asked,
    server: LiveServer | None,
    backups: Sequence[BaseBackup],
    now: datetime,
    failed: Collection[str] = (),
) -> tuple[BaseBackup | None, str | None]:
    """The backup that an incremental one is taken against; where a full one is due instead, None and why.

    The parent must be of this cluster and timeline and have its manifest: the server needs the WAL summaries since it.
    """
    if not asked.incremental:
        return None, None
    if server is None:
        return None, None
    if server.version < INCREMENTAL_SINCE:
        return None, f"a full backup: PostgreSQL {server.version} has no incremental ones, 17 and later have"
    if not server.summarizes_wal:
        return None, "a full backup: the server does not keep WAL summaries (summarize_wal is off)"
    same = [backup for backup in backups if backup.system_identifier == server.system_identifier]
    usable = [backup for backup in same if backup.usable and backup.has_manifest and backup.timeline == server.timeline]
    if not usable:
        return None, "a full backup: there is none yet on this timeline that an incremental one could build on"
    newest = max(usable, key=lambda backup: (backup.start_lsn or 0, backup.id))
    chain = chain_of(newest, backups)
    if not chain or not all(backup.usable for backup in chain):
        return None, f"a full backup: the chain of {newest.id} is not whole"
    if damaged := [backup.id for backup in chain if backup.id in failed]:
        return None, f"a full backup: {damaged[0]}, which {newest.id} builds on or is, failed its last verification"
    if len(chain) > LONGEST_CHAIN:
        return None, f"a full backup: the chain has {len(chain) - 1} increments already"
    started = chain[0].started_at
    if asked.full_every is not None and started is not None and (now - started).total_seconds() > asked.full_every:
        return None, f"a full backup: the last one, {chain[0].id}, is older than the policy wants (database_full)"
    return newest, None


def chain_of(backup: BaseBackup, backups: Sequence[BaseBackup]) -> list[BaseBackup]:
    """A backup's chain, the full one first; empty where a link is missing."""
    known = {each.id: each for each in backups}
    chain = [backup]
    while chain[0].incremental:
        parent = known.get(chain[0].parent or "")
        if parent is None or parent in chain:
            return []
        chain.insert(0, parent)
    return chain


def compression_for(programs: Programs | None) -> str:
    """pg_basebackup's word for the best compression that its build has: zstd from PostgreSQL 15 on, else gzip."""
    if programs is not None and programs.version >= _ZSTD_SINCE and "--with-zstd" in programs.configure:
        return "client-zstd:3"
    return "client-gzip:6" if programs is None or programs.version >= _ZSTD_SINCE else "6"


def _server_checks(
    asked: Asked, server: LiveServer | None, no_server: str | None, programs: Programs | None
) -> Iterator[Check]:
    def check(name: str, ok: bool | None, finding: str, remedy: str | None = None) -> Check:
        return Check(name, "refuse", ok, finding, remedy)

    if server is None:
        yield check("server-running", False, no_server or "the server does not answer", "start it, or mend the site")
        return
    yield check("server-running", True, f"PostgreSQL {server.version} answers on {asked.host}:{asked.port}")
    if programs is None or programs.version < server.version:
        have = f"PostgreSQL {programs.version}" if programs else "none"
        finding = f"the server is PostgreSQL {server.version}, the programs here are {have}"
        yield check("major-version", False, finding, f"install PostgreSQL {server.version}'s programs, or set bin_dir")
    if not server.may_replicate:
        finding = f"{asked.user} may not replicate, and a base backup is a kind of replication"
        yield check("replication", False, finding, f"ALTER ROLE {asked.user} REPLICATION, or another user in the site")
    elif server.senders_free < 2:
        finding = f"the server takes {max(0, server.senders_free)} more WAL senders, and a base backup needs two"
        yield check("replication", False, finding, "raise max_wal_senders, or wait until one is free")
    if asked.format == "plain" and server.tablespaces:
        finding = "a plain backup of a cluster with tablespaces would be written into these very tablespaces"
        yield check("tablespaces", False, finding, "take it as tar (the default)")
