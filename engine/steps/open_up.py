"""Open the recovered cluster at production's own addresses, with production's own settings. The application stays
stopped until the operator opens the system (`reprise open RUN`)."""

import time
from contextlib import suppress
from pathlib import Path

from engine.postgres.connecting import QueryFailed
from engine.postgres.server import connect_site, in_recovery
from engine.records.errors import RepriseError, RunFailed, Unreachable
from engine.steps.protocol import RunningStep
from engine.steps.shared import production
from engine.steps.shared.commands import run_site_command
from engine.steps.shared.layout import layout_of
from engine.steps.shared.production_settings import open_to_production

_TIMEOUT = 300.0  # seconds


def apply(step: RunningStep) -> None:
    """The privately listening server is stopped, production's is started, and must answer at the site's address. From
    here on others may write into it: a rollback keeps it."""
    data_dir = production.production_dir(step)
    database = step.site.database
    if not _answers(step):
        step.before(opened=str(data_dir))
        production.stop(step, data_dir, by_command=False)
        blanked = open_to_production(step, data_dir)
        step.fact(synchronous_blanked=blanked)
        words = step.facts.get("production_words")  # how it ran before: then its folders were there
        if not words and (absent := production.missing_socket_folders(step, data_dir)):
            step.before(socket_folders=absent)
            production.make_socket_folders(step, absent)
        production.start(step, data_dir, words or production.usual_words(step, data_dir))
        _wait_for_answer(step)
    step.server(data_dir=str(data_dir), host=database.host, port=database.port, log=None)
    if step.site.application.start:
        step.note(text=f"the application stays stopped until you open the system: reprise open {step.run_dir.name}")


def undo(step: RunningStep) -> None:
    """Stop the application, if it was opened, and the server; the socket's folder goes if it came with it."""
    if not step.undo_records:
        return
    if step.facts.get("application_opened") and (command := step.site.application.stop):
        run_site_command(command, "[application] stop", step.log, waiting=lambda: step.progress(0, None))
    data_dir = production.production_dir(step)
    if _answers(step):
        production.stop(step, data_dir)
    production.stop(step, data_dir, by_command=False)
    for record in step.undo_records:
        for folder in reversed(record.get("socket_folders", ())):
            with suppress(OSError):  # where somebody else has put something into it, it stays
                Path(folder).rmdir()


def _wait_for_answer(step: RunningStep) -> None:
    """Raises RunFailed where the server does not answer read-write at the site's address in time."""
    data_dir = production.production_dir(step)
    server = production.server_on(step, data_dir)
    deadline = time.monotonic() + _TIMEOUT
    while not _answers(step):
        step.progress(0, None, detail="waiting for the server to accept connections")
        if server.pid() is None or time.monotonic() > deadline:
            database = step.site.database
            raise RunFailed(
                f"production does not answer at {database.host} port {database.port}",
                cause=_why_not(step) or server.log_tail() or None,
                remedy="see the server's log, then resume the run",
            )
        time.sleep(0.1)


def _answers(step: RunningStep) -> bool:
    return _why_not(step) is None


def _why_not(step: RunningStep) -> str | None:
    """Why it cannot be said that production, this very cluster, answers read-write at the site's address."""
    data_dir = production.production_dir(step)
    try:
        with connect_site(step.site.database, layout_of(step.plan).run_as, timeout=5) as connection:
            if in_recovery(connection):
                return "it is in recovery"
            row = connection.execute("SELECT setting FROM pg_settings WHERE name = 'data_directory'").fetchone()
            if row is not None and str(data_dir) != row[0] and not data_dir.samefile(row[0]):
                return f"another cluster answers there: {row[0]}"
    except Unreachable as error:
        return error.cause or error.message
    except (QueryFailed, OSError, RepriseError) as error:
        return str(error).strip()
    return None
