"""The folder of a dump that Reprise took: the database's contents, the roles and tablespaces of its cluster, a note."""

from datetime import datetime
from typing import Literal

import msgspec

DumpFormat = Literal["custom", "directory", "plain"]

CONTENTS: dict[str, str] = {"custom": "database.dump", "directory": "database", "plain": "database.sql"}
GLOBALS = "globals.sql"
NOTE = "dump.json"


class DumpNote(msgspec.Struct, frozen=True):
    """``dump.json``: what was dumped from which major version of PostgreSQL, and when. Times carry an offset."""

    database: str
    format: DumpFormat
    version: int
    started_at: datetime
    stopped_at: datetime
