"""`take-dump`: one database by pg_dump, with the roles and tablespaces that no dump of one database holds.

The copy is a folder: ``database.dump`` (custom), ``database`` (directory) or ``database.sql`` (plain), ``globals.sql``
(pg_dumpall --globals-only: without it the owners of what is restored do not exist), and ``dump.json`` that says what
and when. `verify-dump` reads all of it back to its end: half a dump is told by nothing else.

Arguments: ``database``, ``format``, ``version`` (the server's), ``host``, ``port``, ``user``.
"""

import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

from engine.dumps.layout import CONTENTS, GLOBALS, NOTE
from engine.postgres.databases import as_connection_string
from engine.postgres.running import run
from engine.records.coding import to_json
from engine.records.copying import Copying
from engine.records.errors import RunFailed
from engine.records.survey import Programs
from engine.steps.copying.drafts import copying_of, grows_at, make_draft, now, record_draft, remove_draft
from engine.steps.prepare import owner_ids
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried
from engine.transfer.failures import writing
from engine.transfer.incremental import size_on_disk
from engine.transfer.noting import write_new
from engine.transfer.removing import make_folder

_PROGRAMS = ("pg_dump", "pg_dumpall")
_LOOK_SECONDS = 0.5  # between two looks how large it is
_JOBS = 2  # of a dump in directory format


def apply(step: RunningStep) -> None:
    copying, args = copying_of(step), step.args
    record_draft(step)
    folder = grows_at(copying)
    started = now()

    def make(say: Say) -> None:
        make_draft(copying, *_PROGRAMS)
        make_folder(folder, owner_ids(copying.owner))

    carried(step, make, on=copying.repository)
    reach = ["-h", args["host"], "-p", str(args["port"]), "-U", args["user"], "--no-password"]
    _run(step, "pg_dumpall", [*reach, "--globals-only", f"--file={folder / GLOBALS}"])
    words = [*reach, f"--format={args['format']}", "--create", f"--file={folder / CONTENTS[args['format']]}"]
    words += [f"--jobs={_JOBS}"] if args["format"] == "directory" else []
    _run(step, "pg_dump", [*words, f"--dbname={as_connection_string(args['database'])}"])
    stopped = now()
    note = {name: args[name] for name in ("database", "format", "version")}
    text = to_json({**note, "started_at": started, "stopped_at": stopped}, indent=1)

    def keep_note(say: Say) -> None:
        with writing(folder):
            write_new(folder / NOTE, text)

    carried(step, keep_note, on=copying.repository)
    step.fact(interval=[started, stopped], told={"database": args["database"], "format": args["format"]})


def undo(step: RunningStep) -> None:
    remove_draft(step, *_PROGRAMS)


def _run(step: RunningStep, program: str, words: list[str]) -> None:
    """One of the programs, with the bytes that it has written so far: how many there will be is not known."""
    copying = copying_of(step)
    programs = _programs(copying)

    def work(say: Say) -> None:
        draft = Path(copying.draft)
        measuring = Thread(target=_measure, args=(draft, say), daemon=True)  # it ends with this child
        measuring.start()
        run(
            programs, program, *words, user=copying.owner, cwd=draft, timeout=None, on_line=lambda line: say(line + " ")
        )

    def hear(said: str) -> None:
        if said.isdecimal():
            step.progress(int(said), None, "bytes", program)
        else:
            step.log(said.rstrip())

    carried(step, work, hear, on=copying.repository)


def _measure(draft: Path, say: Say) -> None:
    """Say how large the draft is, for ever: whatever the program is silent about, this is heard while the file system
    answers."""
    while True:
        with suppress(OSError):
            say(str(size_on_disk(draft)))
        time.sleep(_LOOK_SECONDS)


def _programs(copying: Copying) -> Programs:
    if copying.programs is None:
        raise RunFailed("the plan names no PostgreSQL programs", remedy="plan again")
    return copying.programs
