"""`take-dump`: one database by pg_dump, with the roles and tablespaces that no dump of one database holds.

The copy is a folder: ``database.dump`` (custom), ``database`` (directory) or ``database.sql`` (plain), ``globals.sql``
(pg_dumpall --globals-only: without it the owners of what is restored do not exist), and ``dump.json`` that says what
and when. `verify-dump` reads all of it back to its end: half a dump is told by nothing else.

Arguments: ``database``, ``format``, ``version`` (the server's), ``host``, ``port``, ``user``.
"""

from pathlib import Path

from engine.dumps.layout import CONTENTS, GLOBALS, NOTE
from engine.postgres.processes import end_strays
from engine.postgres.running import run
from engine.records.coding import to_json
from engine.records.copying import Copying
from engine.records.errors import RunFailed
from engine.records.survey import Programs
from engine.steps.copying.drafts import copying_of, fresh_draft, grows_at, now, remove_draft
from engine.steps.prepare import owner_ids
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import carried
from engine.transfer.failures import writing
from engine.transfer.incremental import size_on_disk
from engine.transfer.noting import write_new
from engine.transfer.removing import make_folder

_PROGRAMS = ("pg_dump", "pg_dumpall")
_JOBS = 2  # of a dump in directory format


def apply(step: RunningStep) -> None:
    copying, args = copying_of(step), step.args
    _end_strays(copying)
    fresh_draft(step)
    folder = grows_at(copying)
    make_folder(folder, owner_ids(copying.owner))
    started = now()
    reach = ["-h", args["host"], "-p", str(args["port"]), "-U", args["user"], "--no-password"]
    _run(step, "pg_dumpall", [*reach, "--globals-only", f"--file={folder / GLOBALS}"])
    words = [*reach, f"--format={args['format']}", "--create", f"--file={folder / CONTENTS[args['format']]}"]
    words += [f"--jobs={_JOBS}"] if args["format"] == "directory" else []
    _run(step, "pg_dump", [*words, f"--dbname={_quoted(args['database'])}"])
    stopped = now()
    note = {name: args[name] for name in ("database", "format", "version")}
    with writing(folder):
        write_new(folder / NOTE, to_json({**note, "started_at": started, "stopped_at": stopped}, indent=1))
    step.fact(interval=[started, stopped], told={"database": args["database"], "format": args["format"]})


def undo(step: RunningStep) -> None:
    _end_strays(copying_of(step))
    remove_draft(step)


def _run(step: RunningStep, program: str, words: list[str]) -> None:
    """One of the programs, with the bytes that it has written so far: how many there will be is not known."""
    copying = copying_of(step)
    programs = _programs(copying)
    carried(
        step,
        lambda say: run(programs, program, *words, user=copying.owner, cwd=copying.draft, timeout=None, on_line=say),
        step.log,
        meanwhile=lambda: step.progress(size_on_disk(Path(copying.draft)), None, "bytes", program),
    )


def _programs(copying: Copying) -> Programs:
    if copying.programs is None:
        raise RunFailed("the plan names no PostgreSQL programs", remedy="plan again")
    return copying.programs


def _end_strays(copying: Copying) -> None:
    for program in _PROGRAMS:
        end_strays(program, Path(copying.draft))


def _quoted(database: str) -> str:
    """As a connection string: a name that looks like one itself would be taken for it (libpq, "Connection Strings")."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"
