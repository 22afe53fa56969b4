"""`load`: a fresh database, filled from the dump: pg_restore with several jobs, psql for a plain one, then ANALYZE.

The database bears a name of its own until `swap`; undo drops it. Arguments: ``jobs``.
"""

import os
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

from engine.dumps.contents import count_entries, creation_options, plain_script
from engine.postgres.databases import create_database, database_exists, drop_database
from engine.postgres.processes import end_strays
from engine.postgres.running import run
from engine.postgres.users import is_root
from engine.records.loading import Loading
from engine.steps.loading.common import connection_to, loading_of
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Child, Say

_DONE = re.compile(r"pg_restore: (?:finished item|creating|setting owner|processing data)")
_LOOK_SECONDS = 0.3


def apply(step: RunningStep) -> None:
    loading = loading_of(step)
    _end_strays(loading)
    options = creation_options(loading.programs, Path(loading.contents), loading.format, loading.run_as)
    if not step.undo_records:
        step.before(database=loading.fresh)
    with connection_to(step) as connection:
        drop_database(connection, loading.fresh)
        create_database(connection, loading.fresh, options)
    if loading.format == "plain":
        _run(step, lambda say: _load_plain(loading), None)
    else:
        total = count_entries(loading.programs, Path(loading.contents), loading.run_as)
        _run(step, lambda say: _load(loading, step.args["jobs"], say), total)
    _run(step, lambda say: _analyze(loading), None)


def undo(step: RunningStep) -> None:
    loading = loading_of(step)
    _end_strays(loading)
    with connection_to(step) as connection:
        if database_exists(connection, loading.fresh):
            drop_database(connection, loading.fresh)


def _run(step: RunningStep, work: Callable[[Say], None], total: int | None) -> None:
    done = 0

    def hear(line: str) -> None:
        nonlocal done
        step.log(line)
        if total is not None and _DONE.match(line):
            done += line.startswith("pg_restore: finished item")
            step.progress(min(done, total), total, "files", loading_of(step).dump)

    with Child(work, hear) as child:
        while not child.ended(_LOOK_SECONDS):
            step.safe_point()
        child.result()


def _reach(loading: Loading) -> list[str]:
    return ["-h", loading.host, "-p", str(loading.port), "-U", loading.user, "--no-password"]


def _load(loading: Loading, jobs: int, say: Say) -> None:
    words = [*_reach(loading), f"--dbname={loading.fresh}", f"--jobs={jobs}", "--exit-on-error", "--verbose"]
    run(loading.programs, "pg_restore", *words, loading.contents, user=loading.run_as, timeout=None, on_line=say)


def _load_plain(loading: Loading) -> None:
    """Through a pipe of ours: psql must not meet the lines that create the original and connect to it."""
    with tempfile.TemporaryDirectory(prefix="reprise-load-") as folder:
        pipe = Path(folder) / "script.sql"
        os.mkfifo(pipe, 0o600)
        if is_root():
            Path(folder).chmod(0o711)
            os.chown(pipe, loading.run_as.uid, loading.run_as.gid)
        Thread(target=_feed, args=(Path(loading.contents), pipe), daemon=True).start()
        words = [*_reach(loading), f"--dbname={loading.fresh}", "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1"]
        run(loading.programs, "psql", *words, f"--file={pipe}", user=loading.run_as, timeout=None)


def _feed(dump: Path, pipe: Path) -> None:
    with suppress(BrokenPipeError), pipe.open("wb") as script:  # psql says why it left
        for piece in plain_script(dump):
            script.write(piece)


def _analyze(loading: Loading) -> None:
    words = [*_reach(loading), f"--dbname={loading.fresh}", "--analyze-only", "--jobs=2", "--quiet"]
    run(loading.programs, "vacuumdb", *words, user=loading.run_as, timeout=None)


def _end_strays(loading: Loading) -> None:
    for program in ("pg_restore", "psql", "vacuumdb"):
        end_strays(program, Path(f"--dbname={loading.fresh}"))
