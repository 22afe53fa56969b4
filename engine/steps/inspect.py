"""Look into the copy as it stands at the gate: what is wrong with it is known before production is stopped.

Its libraries (`libraries`): what the functions of its databases call must be on this machine. Its pages
(`page-checksums`): every one is read, which takes as long as the disk needs for it; `reprise skip RUN` leaves that out.
A page that is wrong on disk now may still be mended by what replay holds in memory, so `check-result` reads it again.
"""

from pathlib import Path
from typing import LiteralString

from engine.postgres.connecting import QueryFailed
from engine.postgres.libraries import SEARCHED, libraries_of_functions, library_dir, missing
from engine.postgres.server import Server
from engine.records.coding import to_builtins
from engine.records.errors import RepriseError, RunFailed, Unreachable
from engine.records.lsn import Lsn
from engine.records.plan import Check
from engine.recovery.checks.question import size_words
from engine.steps.protocol import RunningStep
from engine.steps.shared import opening
from engine.steps.shared.layout import control_of
from engine.steps.shared.page_reading import PageReading, read_pages
from engine.steps.shared.points import current_point, gate_lsn
from engine.steps.shared.recovering import ensure_recovering, server_of
from engine.steps.shared.watching import Watch

ACCEPTED = "checks-accepted"
"""A file in the run's folder: the operator goes on although a library is missing, or a question of the site was not
answered with true."""

SKIPPED = "pages-skipped"
"""A file in the run's folder: not every page need be read."""

PAGES = "pages"
"""The fact that carries the reading of the pages; none where they were not read."""

LIBRARIES_UNREAD = "libraries_unread"
"""The fact that says whether the libraries still have to be looked up, since the copy could not be asked."""

OPEN_DATABASES: LiteralString = (
    "SELECT datname FROM pg_database WHERE datallowconn AND datconnlimit <> -2 ORDER BY datname"
)
"""Templates too; not what an interrupted DROP DATABASE has left (DATCONNLIMIT_INVALID_DB in pg_database.h)."""

_NAMED = 5  # pages or files in a finding


def apply(step: RunningStep) -> None:
    """Raises RunFailed where a library is missing, unless the operator has accepted that. Applied again, it looks
    again."""
    server = server_of(step)
    feed = ensure_recovering(step, server)
    Watch(step, server, feed).replay_to(current_point(step))  # at once, unless the server was started again
    looked_up = look_up_libraries(step, server, "they are looked up after the promotion")
    step.fact(**{LIBRARIES_UNREAD: not looked_up})
    if step.site.verify.pages:
        _read(step, server.data_dir)


def undo(step: RunningStep) -> None:
    """Nothing was changed."""


def look_up_libraries(step: RunningStep, server: Server, otherwise: str) -> bool:
    """Tell whether the libraries that the functions of all databases call are there. False where they should be looked
    up again later: a database could not be asked, or the server does not accept connections (an overflowed snapshot at
    the gate), where it is said what happens ``otherwise``. Raises RunFailed where one is missing and the operator has
    not accepted that."""
    try:
        databases, searched = _databases(server, gate_lsn(current_point(step)))
    except (Unreachable, QueryFailed) as refusal:
        why = (refusal.cause if isinstance(refusal, Unreachable) else None) or str(refusal).strip()
        finding = f"the copy cannot be asked for its libraries now: {why}; {otherwise}"
        step.check(Check("libraries", "warn", None, finding))
        return False
    whose, unread = dict[str, str](), list[str]()
    for name in databases:
        step.safe_point()
        try:
            with server.connect(name) as connection:
                whose |= libraries_of_functions(connection)
        except (RepriseError, QueryFailed) as error:
            unread.append(f"{name} ({str(error).strip().splitlines()[0]})")
    folder = library_dir(server.programs)
    if folder is None:
        step.check(Check("libraries", "warn", None, "where the programs look for libraries is unknown"))
        return True
    lacking = [f"{library} ({whose[library]})" for library in missing(whose, folder, searched)]
    if lacking:
        finding = f"not on this machine: {', '.join(lacking)}"
        step.check(Check("libraries", "refuse", False, finding, "install the packages that hold them"))
        _require_acceptance(step, lacking)
    elif unread:
        step.check(Check("libraries", "warn", None, f"could not be looked up in {', '.join(unread)}"))
    else:
        finding = f"{len(whose)} libraries that functions of {len(databases)} databases call found in {folder}"
        step.check(Check("libraries", "refuse", True, finding))
    return not unread


def _databases(server: Server, gate: Lsn) -> tuple[list[str], str]:
    """Those that can be connected to, and the server's dynamic_library_path. Raises Unreachable, QueryFailed."""
    try:
        server.wait_accepting(opening.patience(server, gate))
    except Unreachable:
        opening.found_closed(server, gate)
    with server.connect() as connection:
        rows = connection.execute(OPEN_DATABASES).fetchall()
        row = connection.execute("SELECT setting FROM pg_settings WHERE name = 'dynamic_library_path'").fetchone()
    return [str(name) for (name,) in rows], str(row[0]) if row is not None else SEARCHED


def _require_acceptance(step: RunningStep, lacking: list[str]) -> None:
    """A proof drill goes on: its verdict counts every check."""
    if step.plan.proof is None and not (step.run_dir / ACCEPTED).exists():
        resume = f"reprise resume {step.run_dir.name}"
        raise RunFailed(
            "libraries that the recovered cluster needs are not on this machine",
            cause=", ".join(lacking),
            remedy=f"install the packages that hold them, then {resume}; or without them: {resume} --accept-checks",
        )


def _read(step: RunningStep, data_dir: Path) -> None:
    if not control_of(data_dir).data_checksums:
        step.check(Check("page-checksums", "warn", False, "the cluster has no data checksums: pages are not read"))
        return
    reading = read_pages(step, data_dir, (step.run_dir / SKIPPED).exists)
    step.fact(**{PAGES: to_builtins(reading)})
    finding = told(reading)
    step.log(f"pages: {finding}")
    if reading.doubtful:
        finding += "; what replay has mended in memory only is told apart after the promotion"
        remedy = "look at the gate what it is (restore with --action pause); an older backup may be whole (--backup)"
        step.check(Check("page-checksums", "warn", None, finding, remedy))
    else:
        step.check(Check("page-checksums", "warn", True if reading.complete else None, finding))


def told(reading: PageReading) -> str:
    """What was read, in words."""
    size, seconds = size_words(reading.bytes), f"{reading.seconds:.1f} s"
    if not reading.complete and not reading.total:
        words = "no page was read: that was skipped"
    elif not reading.complete:
        words = f"{size} of {size_words(reading.total)} read in {seconds}, the rest was skipped"
    else:
        words = f"{reading.pages} pages, {size}, read in {seconds}"
    if reading.wrong_count:
        places = _some([str(place) for place in reading.wrong], reading.wrong_count)
        words += f"; {reading.wrong_count} do not match their checksum: {places}"
    if reading.unread:
        words += "; cannot be read: " + _some([f"{name} ({why})" for name, why in reading.unread.items()])
    return f"{words}, every checksum right" if reading.complete and not reading.doubtful else words


def _some(names: list[str], number: int | None = None) -> str:
    more = (number or len(names)) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
