"""Made-up repositories with a policy, and copies of any age in them."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.acts.sites import write_site

NOW = datetime.now(UTC)
RULES = """
[retention]
base_backups = { count = 1 }
dumps = { daily = 1 }
media = { daily = 1 }
"""


def days_ago(days: float) -> datetime:
    return (NOW - timedelta(days=days)).replace(microsecond=0)


def make_places(root: Path, second: str | None = None) -> Path:
    """A site with rules, and its folders; ``second`` is the second place of its database, ``second``/media that of its
    files. The site file."""
    for name in ("dumps", "media", "data"):
        (root / name).mkdir(exist_ok=True)
    of_database, of_media = (f'second = "{second}{below}"' if second else "" for below in ("", "/media"))
    media = f'[[media.repository]]\nkind = "directory"\npath = "{root}/media"\n{of_media}'
    dumps = f'dumps = "{root}/dumps"\n{of_database}'
    return write_site(root, backups="base", database=dumps, media=media, more=RULES)


def snapshot(root: Path, name: str, days: float, *, note: bool = True) -> Path:
    """A folder in the media repository, with what Reprise puts beside a snapshot."""
    folder = root / "media" / name
    folder.mkdir()
    (folder / "card.pdf").write_text("card")
    if note:
        at = days_ago(days).isoformat()
        folder.with_name(f"{name}.json").write_text(json.dumps({"started_at": at, "stopped_at": at}))
        folder.with_name(f"{name}.catalogue.zst").write_text("catalogue")
    os.utime(folder, (days_ago(days).timestamp(),) * 2)
    return folder


def dump(root: Path, name: str, days: float) -> Path:
    """A dump as Reprise takes it."""
    folder = root / "dumps" / name
    folder.mkdir()
    at = days_ago(days).isoformat()
    note = {"database": "docs", "format": "custom", "version": 17, "started_at": at, "stopped_at": at}
    (folder / "dump.json").write_text(json.dumps(note))
    (folder / "database.dump").write_bytes(b"PGDMP")
    (folder / "globals.sql").write_text("")
    return folder


def foreign_dump(root: Path, name: str, days: float) -> Path:
    path = root / "dumps" / name
    path.write_bytes(b"PGDMP" + b"\0" * 64)
    os.utime(path, (days_ago(days).timestamp(),) * 2)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
