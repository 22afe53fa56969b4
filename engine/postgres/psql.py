"""psql for a person: it gets the terminal, runs as the right user, and no statement of it can hang for ever."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from msgspec import Struct

from engine.records.errors import RepriseError
from engine.records.survey import OsUser, Programs
from engine.system.programs import clean_environment

STATEMENT_TIMEOUT = 60  # seconds; who needs longer sets it anew in psql
LOCK_TIMEOUT = 3  # seconds; at a gate a query on a table that is being dropped would hang

_OF_THE_TERMINAL = ("TERM", "COLORTERM", "LANG", "LC_ALL", "LC_CTYPE", "PAGER", "PSQL_PAGER", "LESS", "PSQL_EDITOR")


class Psql(Struct, frozen=True):
    """A psql that can be started: its command line, whom it runs as, its environment."""

    command: tuple[str, ...]
    user: OsUser
    environment: Mapping[str, str]
    statement_timeout: int  # seconds


def find_psql(
    programs: Programs, run_as: OsUser, *, host: str, port: int, user: str, dbname: str, read_only: bool
) -> Psql:
    """psql for the server at this socket folder or host. ``read_only``: its transactions begin so. The operator's own
    psqlrc is not read: it could lift the timeouts. Raises RepriseError where there is no psql."""
    own = Path(programs.bin_dir) / "psql"
    environment = clean_environment(run_as)
    found = str(own) if own.is_file() else shutil.which("psql", path=environment["PATH"])
    if found is None:
        raise RepriseError(
            f"there is no psql in {programs.bin_dir}, nor elsewhere on this machine",
            remedy=f"install PostgreSQL {programs.version}'s client package",
        )
    del environment["LC_ALL"]  # a person reads this, in his own language and encoding
    environment |= {name: os.environ[name] for name in _OF_THE_TERMINAL if name in os.environ}
    settings = {"statement_timeout": f"{STATEMENT_TIMEOUT}s", "lock_timeout": f"{LOCK_TIMEOUT}s"}
    if read_only:
        settings["default_transaction_read_only"] = "on"
    environment["PGOPTIONS"] = " ".join(f"-c {name}={value}" for name, value in settings.items())
    environment["PGAPPNAME"] = "reprise psql"
    words = (found, "-X", "-h", host, "-p", str(port), "-U", user, "-d", dbname)
    return Psql(words, run_as, environment, STATEMENT_TIMEOUT)


def hold_psql(psql: Psql) -> int:
    """Give psql the terminal until it ends; its exit code (2: the connection broke or was never made). For the main
    thread. Not with sh, which cannot hand over a terminal and change the user at once.

    Raises RepriseError where it cannot be started.
    """
    other = {}
    if psql.user.uid != os.geteuid():
        groups = os.getgrouplist(psql.user.name, psql.user.gid)
        other = {"user": psql.user.uid, "group": psql.user.gid, "extra_groups": groups}
    try:
        with _keys_are_for_psql():
            return subprocess.run(psql.command, env=psql.environment, cwd="/", check=False, **other).returncode  # type: ignore[call-overload,no-any-return]
    except OSError as failure:
        raise RepriseError(f"{psql.command[0]} could not be started", cause=str(failure)) from None


@contextmanager
def _keys_are_for_psql() -> Iterator[None]:
    """Ctrl-C and Ctrl-\\ reach everybody at the terminal: psql shall heed them, not we. A handler, not SIG_IGN, which
    psql would inherit."""

    def pass_over(number: int, frame: FrameType | None) -> None:
        pass

    before = {number: signal.signal(number, pass_over) for number in (signal.SIGINT, signal.SIGQUIT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
