"""The least that a site file must say."""

from pathlib import Path


def site_text(home: Path | str, more: str = "", *, name: str = "archive", timezone: str = "UTC") -> str:
    """A cluster and a repository below ``home``, where nothing need be yet; then ``more``."""
    return f"""
[site]
name = "{name}"
timezone = "{timezone}"
[database]
data_dir = "{home}/data"
[[database.repository]]
kind = "directory"
base_backups = "{home}/base"
wal = "{home}/wal"
{more}
"""
