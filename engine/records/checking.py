"""The users' files held against what the database refers to."""

from datetime import datetime
from typing import Literal, NamedTuple

from msgspec import Struct

from engine.records.plan import Check
from engine.records.rows import NamedRow


class FileFinding(NamedTuple):
    """One file that is not as it should be. ``path`` is relative to the media folder, ``why`` what is wrong with a
    wrong one, or where a lost one was sought, ``rows`` how many rows refer to it (an orphan: 0), ``size`` in bytes,
    None where it is not known. ``named``: the first of the rows, where the query names rows."""

    kind: Literal["missing", "wrong", "orphan", "lost"]
    path: bytes
    why: str
    rows: int
    size: int | None
    named: tuple[NamedRow, ...] = ()


class FileCheck(Struct, frozen=True):
    """What came of a check of the files in ``root`` (absolute) against a database.

    ``checked`` files are referred to, ``bytes`` of them were read; ``missing`` and ``wrong`` are counts, and so is
    ``orphans``, files that nobody refers to, of ``orphan_bytes``. ``problems`` are rows that name no file. All findings
    are in ``book``, an SQLite file; ``names_rows``: the query names the rows. Of a check that went on where an earlier
    one had stopped, ``resumed_from`` is when that had begun, and ``trusted`` how many of its hashes stood, their files
    unchanged since (by inode, size, times).
    """

    root: str
    book: str
    started_at: datetime
    finished_at: datetime
    checked: int
    bytes: int
    missing: int
    wrong: int
    orphans: int
    orphan_bytes: int
    problems: tuple[str, ...] = ()
    resumed_from: datetime | None = None
    trusted: int = 0
    names_rows: bool = False

    @property
    def ok(self) -> bool:
        return not (self.missing or self.wrong or self.problems)

    def as_check(self) -> Check:
        """As a row of a run's report. Orphans are none of its business: they are told, and fine."""
        told = [f"{self.checked} files that the database refers to: {self.missing} missing, {self.wrong} wrong"]
        if self.problems:
            told.append(f"rows that name no file: {self.problems[0]}")
        if self.orphans:
            told.append(f"{self.orphans} files that nobody refers to, left where they are")
        remedy = None if self.ok else "list them with: reprise files check; bring them back with: reprise files restore"
        return Check("files", "warn", self.ok, "; ".join(told), remedy)
