"""The site file: one protected system, and where its copies lie. Read, checked, explained; written with tomli-w.

tables      its tables and keys, as typed records
durations   "5min", "7d"
rates       "50MB/s"
reading     where it is found; read and written
mistakes    what is wrong in it, and what would be right
nesting     places that must be apart
"""

from engine.site.mistakes import mistakes
from engine.site.reading import find_site, is_there, read_site, state_dir, write_site
from engine.site.tables import (
    Application,
    Database,
    DatabaseRepository,
    Environment,
    Identity,
    KeepBaseBackups,
    KeepByCalendar,
    Media,
    MediaRepository,
    Objectives,
    Policy,
    Proof,
    Retention,
    Schedule,
    Site,
    Source,
    Verify,
)

__all__ = [
    "Application",
    "Database",
    "DatabaseRepository",
    "Environment",
    "Identity",
    "KeepBaseBackups",
    "KeepByCalendar",
    "Media",
    "MediaRepository",
    "Objectives",
    "Policy",
    "Proof",
    "Retention",
    "Schedule",
    "Site",
    "Source",
    "Verify",
    "find_site",
    "is_there",
    "mistakes",
    "read_site",
    "state_dir",
    "write_site",
]
