"""The users' files held against what the database refers to."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from msgspec import Struct

from engine.acts.desk import Desk
from engine.acts.following import run_state
from engine.catalog.waiting import PATIENCE, with_patience
from engine.media.checking import check_files, read_findings
from engine.media.lost import read_lost
from engine.media.references import References, collect
from engine.media.row_names import MOST, OWN
from engine.postgres.asking import asked
from engine.postgres.connecting import Connection, connect
from engine.postgres.server import connect_site
from engine.records.checking import FileCheck, FileFinding
from engine.records.errors import SiteError, Unreachable, UsageError
from engine.records.runs import RunState
from engine.run.folder import find_run, read_run_site
from engine.run.locks import take_lock
from engine.site import Media
from engine.steps.files.common import CHOICES, REFERENCES
from engine.survey.patience import within
from engine.system.users import default_run_as

NAME = "[media] references"
_ROWS_BETWEEN = 10_000  # rows of the database between two words of progress

Progress = Callable[[str, int, int | None], None]


class _Against(Struct, frozen=True):
    """A database that can be asked, and the folder that its files should be in."""

    name: str  # ``live``, or the run's
    connect: Callable[[], Connection]
    root: Path
    in_use: bool


def check_site_files(
    desk: Desk,
    against: str = "live",
    *,
    progress: Progress = lambda what, done, total: None,
    patience: float = PATIENCE,
) -> FileCheck:
    """Check each file that the database refers to. ``against``: ``live``, the site's own database and media folder; or
    a run, whose server answers: its database, and its files where it has some, else the live folder. Only reads. A
    check that was stopped goes on. ``progress`` hears what is done (files of the database, then files checked) and of
    how many.

    Raises SiteError where the site does not say what the database refers to, Unreachable where a server or the folder
    does not answer (``patience`` in seconds), RepriseError where the query fails.
    """
    media = _media(desk)
    found = _live(desk, media) if against == "live" else _of_run(desk, media, run_state(desk, against))
    folder = desk.state / "files-check"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = hashlib.sha256(f"{desk.site.name}\0{found.name}\0{found.root}".encode("utf-8", "surrogateescape"))
    book = folder / f"{name.hexdigest()[:16]}.check"
    gathered = book.with_suffix(".references")
    lock = take_lock(book.with_suffix(".lock"), "files check", "these files are being checked already")
    try:
        asked_at = datetime.now(UTC)
        references = _collect(found, media, gathered, progress)

        def work(alive: Callable[[], None]) -> FileCheck:
            def heard(files: int, total: int, bytes: int) -> None:
                alive()
                progress("checking", files, total)

            return check_files(
                found.root, references, book, asked_at=asked_at if found.in_use else None, progress=heard
            )

        return with_patience(work, f"the folder {found.root}", patience)
    finally:
        gathered.unlink(missing_ok=True)
        lock.release()


def file_findings(found: FileCheck, kind: str, limit: int = -1) -> Iterator[FileFinding]:
    """The findings of a check: ``missing``, ``wrong`` or ``orphan``; all, or the first ``limit``."""
    return read_findings(found.book, kind, limit)


def lost_files(desk: Desk, run: str) -> tuple[str, Iterator[FileFinding]]:
    """The run's whole name, and as a stream all files that nobody had when it last looked, with the rows that refer to
    them. Raises UsageError where the run has not looked for any, RepriseError where it cannot be read."""
    folder = find_run(desk.state, run)
    choices = folder / CHOICES
    if not choices.exists():
        raise UsageError(f"{folder.name} has not looked for users' files", remedy="see what it did: reprise report RUN")
    found = read_lost(choices, folder / REFERENCES)
    first = next(found, None)  # what is wrong is said before anything is written
    return folder.name, chain([first] if first is not None else [], found)


def _media(desk: Desk) -> Media:
    media = desk.site.media
    if media is None:
        raise SiteError(
            "the site has no users' files", remedy=f"add [media] with path and references to {desk.site_file}"
        )
    if media.references is None:
        raise SiteError(
            "the site does not say which files the database refers to",
            remedy=f"add to [media] in {desk.site_file}: "
            'references = "SELECT path, size, sha256, id FROM attachments" (size and sha256 may be NULL; what stands '
            "behind them names the row)",
        )
    return media


def _live(desk: Desk, media: Media) -> _Against:
    database = desk.site.database

    def ask() -> Connection:
        return connect_site(database, default_run_as(database.run_as, database.data_dir))

    return _Against("live", ask, Path(media.path), in_use=True)


def _of_run(desk: Desk, media: Media, state: RunState) -> _Against:
    layout, host, port = state.plan.layout, state.host, state.port
    if layout is None or host is None or port is None:
        remedy = f"start its server: reprise start {state.run}" if "start" in state.answers else None
        raise Unreachable(f"no server of {state.run} answers now", remedy=remedy)
    if (why := state.unreadable) is not None:
        raise Unreachable(why.finding, remedy=why.remedy)
    database = read_run_site(Path(state.folder)).database
    in_place = state.plan.destination.kind == "in-place" and state.outcome != "paused"

    def ask() -> Connection:
        return connect(host=host, port=port, user=database.user, dbname=database.dbname, as_user=layout.run_as)

    return _Against(state.run, ask, _files_of(state) or Path(media.path), in_use=in_place)


def _files_of(state: RunState) -> Path | None:
    """Where a run's files stand now; None where it has none, or none yet."""
    files = state.plan.files
    if files is None:
        return None
    swapped = any(step.kind == "swap-files" and step.outcome == "done" for step in state.steps)
    place = files.building if files.place == "beside" and not swapped else files.folder
    there: bool | None = within(PATIENCE, lambda: os.path.isdir(place), None)  # noqa: PTH112
    if there is None:
        raise Unreachable(f"{place} does not answer", remedy="see whether its mount or network is away")
    return Path(place) if there else None


def _collect(found: _Against, media: Media, into: Path, progress: Progress) -> References:
    assert media.references is not None
    with closing(found.connect()) as connection, asked(connection, media.references, NAME) as (columns, rows):
        if not 1 <= len(columns) <= OWN + MOST:
            raise SiteError(
                f"{NAME} returns {len(columns)} columns",
                remedy="it shall return path, and optionally size and sha256, in this order; behind these up to "
                f"{MOST} that name the row, as its id and title",
            )
        return collect(_counted(rows, progress), into, media.strip_prefix, columns)


def _counted(rows: Iterator[tuple[object, ...]], progress: Progress) -> Iterator[tuple[object, ...]]:
    for number, row in enumerate(rows):
        if not number % _ROWS_BETWEEN:
            progress("asking the database", number, None)
        yield row
