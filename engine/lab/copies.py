"""The lab's copies: base backups as pg_basebackup leaves them, media snapshots as folders with a note beside."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from engine.postgres.running import run
from engine.postgres.server import Server
from engine.postgres.users import give
from engine.records.survey import OsUser

BackupKind = Literal["plain", "tar", "incremental"]


def base_backup(server: Server, repository: Path, kind: BackupKind, parent: str | None = None) -> str:
    """Take a base backup of the running server; its folder's name. An incremental one needs its ``parent``'s name."""
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{'incremental' if kind == 'incremental' else 'full'}"
    arguments = ["-D", str(repository / name), "-h", str(server.socket_dir), "-p", str(server.port)]
    arguments += ["-U", server.database_user, "-c", "fast", "-l", name, "--no-sync"]
    if kind == "tar":
        arguments += ["-F", "tar", "-z", "-X", "fetch"]
    if kind == "incremental":
        arguments += [f"--incremental={repository / str(parent) / 'backup_manifest'}"]
    run(server.programs, "pg_basebackup", *arguments, user=server.user, cwd=repository, timeout=120)
    return name


def media_snapshot(media: Path, repository: Path, owner: OsUser) -> str:
    """Copy the media folder as it is; the snapshot's id, which is its start. Files that are still being written (their
    names begin with a dot) are left out."""
    started = datetime.now(UTC)
    id = f"{started:%Y-%m-%dT%H:%M:%SZ}"
    folder = repository / id
    shutil.copytree(media, folder, ignore=shutil.ignore_patterns(".*.part"))
    stopped = datetime.now(UTC)
    files = [path for path in folder.rglob("*") if path.is_file()]
    note = {
        "started_at": _iso(started),
        "stopped_at": _iso(stopped),
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files),
    }
    (repository / f"{id}.json").write_text(json.dumps(note, indent=1) + "\n")
    give(repository, owner)
    return id


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}"
