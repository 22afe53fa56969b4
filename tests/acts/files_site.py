"""A site of users' files alone: a live folder, and real snapshots of it."""

import json
import os
from datetime import timedelta
from pathlib import Path

from engine.acts.desk import Desk, open_desk
from engine.media.snapshot import take_snapshot
from tests.tui.history import utc

ODD = "2026/11/scan\x1b[31m\udcff.pdf"  # a name that is neither UTF-8 nor fit for a terminal


class FilesSite:
    """The site in ``home``: ``live`` is its media folder."""

    def __init__(self, home: Path, database: str = "", media: str = "") -> None:
        self.home, self.live, self.copies = home, home / "live", home / "copies"
        for folder in (self.live, self.copies, home / "base", home / "wal", home / "data"):
            folder.mkdir()
        self.file = home / "site.toml"
        self.file.write_text(f"""
[site]
name = "archive"
timezone = "UTC"
[database]
{database or f'data_dir = "{home}/data"'}
[[database.repository]]
kind = "directory"
base_backups = "{home}/base"
wal = "{home}/wal"
[media]
path = "{self.live}"
{media}
[[media.repository]]
kind = "directory"
path = "{self.copies}"
""")
        self.options = ["--site", str(self.file), "--state", str(home / "state")]
        self.before: Path | None = None

    def desk(self) -> Desk:
        return open_desk(self.file, self.home / "state")

    def write(self, path: str, text: str) -> None:
        place = self.live / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        at = utc(20, 0).timestamp()
        os.utime(place, (at, at))

    def snapshot(self, name: str, day: int) -> None:
        """Take one; its note says that it was taken on this day of November."""
        taken = take_snapshot(self.live, self.copies / name, self.before)
        self.before = self.copies / name
        times = {"started_at": utc(day, 4).isoformat(), "stopped_at": (utc(day, 4) + timedelta(minutes=1)).isoformat()}
        note = {**times, "files": taken.files, "bytes": taken.bytes}
        (self.copies / f"{name}.json").write_text(json.dumps(note))


def filled(site: FilesSite) -> FilesSite:
    """Snapshot a; then one file more, one changed, one gone: snapshot b."""
    site.write("2026/11/card.pdf", "card")
    site.write("2026/11/gone.pdf", "gone")
    site.write("2026/12/Invoice 7.pdf", "invoice")
    site.write(ODD, "odd")
    (site.live / "newest").symlink_to("2026/12")
    site.snapshot("a", 21)
    site.write("2026/11/card.pdf", "another card")
    (site.live / "2026/11/gone.pdf").unlink()
    site.write("2026/12/new.pdf", "new")
    site.snapshot("b", 22)
    return site
