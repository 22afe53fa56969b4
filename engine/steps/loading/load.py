"""`load`: a fresh database, filled from the dump: pg_restore with several jobs, psql for a plain one, then ANALYZE.

The database bears a name of its own until `swap`; undo drops it. Owner, settings, privileges and comment become the
original's, as the dump has them. Arguments: ``jobs``.
"""

import os
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from threading import Thread
from typing import Any

from msgspec.structs import asdict

from engine.dumps.contents import Original, count_entries, plain_script, read_original
from engine.postgres.connecting import Connection
from engine.postgres.databases import (
    as_connection_string,
    create_database,
    database_exists,
    database_oid,
    describe_database,
    drop_database,
    rename_database,
    stays_in,
    unknown_settings,
)
from engine.postgres.processes import end_strays_saying
from engine.postgres.running import run
from engine.records.errors import RunFailed
from engine.records.loading import Loading
from engine.steps.loading.common import connection_to, loading_of
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried
from engine.system.users import is_root

_DONE = re.compile(r"pg_restore: (?:finished item|creating|setting owner|processing data)")


def apply(step: RunningStep) -> None:
    loading = loading_of(step)
    _end_strays(loading)
    with connection_to(step) as connection:
        _drop_own(step, connection)
        if database_exists(connection, loading.fresh):
            raise RunFailed(
                f"there is a database {loading.fresh} already",
                cause="this run has not made it, so it stays",
                remedy="rename or drop it, then resume; or roll the run back",
            )
    contents = Path(loading.contents)
    told = _run(step, lambda say: asdict(read_original(loading.programs, contents, loading.format, loading.run_as)))
    original = Original(**told)
    _make(step, original.options)
    if loading.format == "plain":
        unset = _unset(step, original)
        _run(step, lambda say: _load_plain(loading, unset))
    else:
        total = count_entries(loading.programs, contents, loading.run_as)
        _run(step, lambda say: _load(loading, step.args["jobs"], say), total)
    _run(step, lambda say: _analyze(loading))
    with connection_to(step, loading.fresh) as connection:  # last: none of its settings may reach its own loading
        refused = describe_database(connection, original.statements, original.encoding)
    for told in refused:
        step.note(text=f"a setting of the database was left out: {told}")


def undo(step: RunningStep) -> None:
    _end_strays(loading_of(step))
    with connection_to(step) as connection:
        _drop_own(step, connection)


def discard(step: RunningStep) -> None:
    """Beside the others the database is what the run was for, and stays. Where it was to take another's place, it
    bears its own name after a rollback alone, and nobody needs it any more."""
    if loading_of(step).database is not None:
        undo(step)


def _make(step: RunningStep, options: str) -> None:
    """Under a name that nobody else chooses, until the record says which one it is: what bears the fresh name and has
    another oid is somebody else's, and is never dropped."""
    draft = f"reprise-draft-{token_hex(8)}"
    step.before(draft=draft)
    with connection_to(step) as connection:
        create_database(connection, draft, options)
        step.before(oid=database_oid(connection, draft))
        rename_database(connection, draft, loading_of(step).fresh)


def _drop_own(step: RunningStep, connection: Connection) -> None:
    made = {record["oid"] for record in step.undo_records if "oid" in record}
    for draft in [record["draft"] for record in step.undo_records if "draft" in record]:
        drop_database(connection, draft)
    fresh = loading_of(step).fresh
    if database_oid(connection, fresh) in made:
        drop_database(connection, fresh)


def _unset(step: RunningStep, original: Original) -> set[str]:
    """What a plain dump sets for its own loading and this server has not: pg_dump of a later version writes such."""
    with connection_to(step) as connection:
        unset = unknown_settings(connection, original.settings)
    if unset:
        step.note(text=f"this server does not know what the dump sets for its loading: {', '.join(sorted(unset))}")
    return unset


def _run(step: RunningStep, work: Callable[[Say], object], total: int | None = None) -> Any:
    done = 0

    def hear(line: str) -> None:
        nonlocal done
        step.log(line)
        if total is not None and _DONE.match(line):
            done += line.startswith("pg_restore: finished item")
            step.progress(min(done, total), total, "files", loading_of(step).dump)

    return carried(step, work, hear)


def _reach(loading: Loading) -> list[str]:
    return ["-h", loading.host, "-p", str(loading.port), "-U", loading.user, "--no-password"]


def _into(loading: Loading) -> str:
    return f"--dbname={as_connection_string(loading.fresh)}"


def _load(loading: Loading, jobs: int, say: Say) -> None:
    words = [*_reach(loading), _into(loading), f"--jobs={jobs}", "--exit-on-error", "--verbose"]
    run(loading.programs, "pg_restore", *words, loading.contents, user=loading.run_as, timeout=None, on_line=say)


def _load_plain(loading: Loading, unset: set[str]) -> None:
    """Through a pipe of ours: psql must not meet the lines that create the original and connect to it."""
    broken: list[Exception] = []
    with tempfile.TemporaryDirectory(prefix="reprise-load-") as folder:
        pipe = Path(folder) / "script.sql"
        os.mkfifo(pipe, 0o600)
        if is_root():
            Path(folder).chmod(0o711)
            os.chown(pipe, loading.run_as.uid, loading.run_as.gid)
        feeder = Thread(target=_feed, args=(loading, unset, pipe, broken), daemon=True)
        feeder.start()
        words = [*_reach(loading), _into(loading), "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1"]
        run(loading.programs, "psql", *words, f"--file={pipe}", user=loading.run_as, timeout=None)
        feeder.join()
    if broken:  # psql takes the end of the pipe for the end of the script
        raise broken[0]


def _feed(loading: Loading, unset: set[str], pipe: Path, broken: list[Exception]) -> None:
    try:
        with suppress(BrokenPipeError), pipe.open("wb") as script:  # psql says why it left
            for piece in plain_script(Path(loading.contents), unset):
                script.write(piece)
            script.write(stays_in(loading.fresh))
    except Exception as problem:
        broken.append(problem)


def _analyze(loading: Loading) -> None:
    words = [*_reach(loading), _into(loading), "--analyze-only", "--jobs=2", "--quiet"]
    run(loading.programs, "vacuumdb", *words, user=loading.run_as, timeout=None)


def _end_strays(loading: Loading) -> None:
    """Those that load into this database of this server: another one's may bear the same name."""
    for program in ("pg_restore", "psql", "vacuumdb"):
        end_strays_saying(program, [*_reach(loading), _into(loading)])
