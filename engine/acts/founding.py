"""The first site file: proposed from what is found on this machine, or from the backups alone."""

import os
import pwd
import re
import socket
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from engine.catalog.discover import Discovered, FoundCluster, archive_folder, find_clusters, find_copies
from engine.records.errors import UsageError

SIDE_COPY = ".reprise"  # the marker that engine/steps/prepare.py leaves: such a cluster is a copy, not production
BARE_DATA_DIR = "/var/lib/postgresql/{version}/main"  # where Debian's packages would put it


class Proposal(Struct, frozen=True):
    """What a site file could say; None is what was not found. ``live`` is where the users' files lie, ``media`` their
    snapshots. ``sources`` tells the operator where it comes from."""

    name: str
    timezone: str
    data_dir: str | None
    port: int
    host: str
    run_as: str | None
    base_backups: str | None
    wal: str | None
    dumps: str | None
    live: str | None
    media: str | None
    config_file: str | None
    hba_file: str | None
    ident_file: str | None
    sources: tuple[str, ...]


def propose_site(copies: Path | None) -> Proposal:
    """Look around: with ``copies`` below that folder alone, as on a bare machine, else at this machine's clusters, and
    where the one that is meant archives its WAL. Raises UsageError where the folder cannot be read."""
    clusters = [each for each in find_clusters() if not (each.data_dir.parent / SIDE_COPY).exists()]
    if copies is None:
        cluster = _fitting(clusters, None)
        return _propose(cluster, _near_archive(cluster) if cluster is not None else None, clusters, from_copies=False)
    try:
        found = find_copies(copies.absolute())
    except OSError as error:
        raise UsageError(f"--from: {copies} cannot be read: {error.strerror}", remedy="name a folder") from error
    return _propose(_fitting(clusters, found), found, clusters, from_copies=True)


def _near_archive(cluster: FoundCluster) -> Discovered | None:
    """What lies beside the folder into which a cluster archives its WAL; None where that is not found."""
    archive = archive_folder(cluster.archive_command or "")
    if archive is None:
        return None
    try:
        beside = archive.parent != Path("/") and archive.parent.parent != Path("/")  # else it is no folder of copies
        found = find_copies(archive.parent if beside else archive, cluster.system_identifier or 0)
    except OSError:
        return Discovered(wal=(archive,))
    return replace(found, wal=(archive, *(each for each in found.wal if each != archive)))


def _fitting(clusters: list[FoundCluster], found: Discovered | None) -> FoundCluster | None:
    """The cluster that is meant: the one whose backups were found; else a running one, the newest first."""
    if found is not None:
        same = [
            each for each in clusters if each.system_identifier and each.system_identifier == found.system_identifier
        ]
        return same[0] if same else None
    return max(clusters, key=lambda each: (each.running, each.version or 0), default=None)


def _propose(
    cluster: FoundCluster | None, found: Discovered | None, clusters: list[FoundCluster], *, from_copies: bool
) -> Proposal:
    sources = []
    if cluster is not None:
        sources.append(f"cluster {cluster.data_dir}" + (", running" if cluster.running else ", not running"))
    if len(clusters) > 1 and not from_copies:
        sources.append("other clusters here: " + ", ".join(str(each.data_dir) for each in clusters if each != cluster))
    if found is not None and found.newest is not None:
        sources.append(f"newest backup {found.newest.path}")
    if found is not None:
        if found.dumps:
            sources.append(f"dumps {found.dumps[0]}")
        places = (("base backups", found.base_backups), ("archived WAL", found.wal), ("dumps", found.dumps))
        sources += [f"other {what}: " + ", ".join(map(str, more[1:])) for what, more in places if len(more) > 1]
    if found is not None and found.cut_short:
        sources.append("not everything beside them was looked at: there is too much, or it lies too deep")
    data_dir: str | None = None
    if cluster is not None:
        data_dir = str(cluster.data_dir)
    elif found is not None and found.data_dir is not None:
        data_dir = str(found.data_dir)
    elif found is not None and found.version is not None:
        data_dir = BARE_DATA_DIR.format(version=found.version)
    owner = cluster.owner_uid if cluster else found.owner_uid if found else None
    return Proposal(
        name=re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname().split(".")[0]) or "site",
        timezone=_zone(),
        data_dir=data_dir,
        port=cluster.port if cluster else found.port if found else 5432,
        host=cluster.host if cluster else found.host if found else "/var/run/postgresql",
        run_as=_user(owner),
        base_backups=str(found.base_backups[0]) if found and found.base_backups else None,
        wal=str(found.wal[0]) if found and found.wal else None,
        dumps=str(found.dumps[0]) if found and found.dumps else None,
        live=None,
        media=str(found.media[0]) if found and found.media else None,
        config_file=_text(cluster.config_file) if cluster else None,
        hba_file=_text(cluster.hba_file) if cluster else None,
        ident_file=_text(cluster.ident_file) if cluster else None,
        sources=tuple(sources),
    )


def _user(uid: int | None) -> str | None:
    """Whom to run PostgreSQL as, where it is not us or root."""
    if os.geteuid() != 0:
        return None
    try:
        if uid:
            return pwd.getpwuid(uid).pw_name
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return None


def _text(path: Path | None) -> str | None:
    return str(path) if path else None


def _zone() -> str:
    """The machine's time zone by name (timedatectl's link, Debian's file), else UTC."""
    parts = os.path.realpath("/etc/localtime").split("/zoneinfo/")
    if len(parts) == 2 and "/" in parts[1]:
        return parts[1]
    try:
        return Path("/etc/timezone").read_text("ascii").strip() or "UTC"
    except (OSError, UnicodeDecodeError):
        return "UTC"
