"""One PostgreSQL server on this machine: started so that it outlives us, watched, stopped.

A started server is nobody's child: a session of its own, its log a file, its parent gone. `kill -9` of the engine or
a lost terminal does not reach it.
"""

import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from engine.formats.control_file import ControlFile, read_control_file
from engine.postgres import processes
from engine.postgres.connecting import Connection, connect
from engine.records.errors import RepriseError, Unreachable
from engine.records.lsn import Lsn, parse_lsn
from engine.records.survey import OsUser, Programs
from engine.system.programs import run_program

# pg_ctl would put the data directory's name into a shell's command line (src/bin/pg_ctl/pg_ctl.c, start_postmaster);
# here the shell's text is fixed and every name is an argument. In the background it leaves the server without a parent.
_START = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!'

# "Shutting Down the Server" in the manual's chapter on server setup
_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}

_POLL = 0.05  # seconds


class Server(Struct, frozen=True):
    """A server by its data directory; running or not. ``log`` is a file that ``user`` may write; the socket lies in
    ``socket_dir``, whose path may have at most 107 bytes with the socket's name."""

    programs: Programs
    data_dir: Path
    user: OsUser
    socket_dir: Path
    port: int
    log: Path
    database_user: str = "postgres"
    dbname: str = "postgres"

    def start(self, settings: Mapping[str, str] | None = None, *, timeout: float = 30) -> int:
        """Start the postmaster and return its pid once it holds the data directory: it need not accept connections
        yet. ``settings`` go on the command line (``-c name=value``) and win over every file. The caller says there
        what the server may do (archive_mode, logging_collector=off, lc_messages=C …); port and socket folder are set
        here.

        Raises RepriseError with the log's last lines where it dies at once, Unreachable after ``timeout`` seconds.
        """
        if (running := self.pid()) is not None:
            raise RepriseError(f"a server already runs on {self.data_dir} (pid {running})")
        check_socket_path(self.socket_dir, self.port)
        self._remove_stale_locks()
        mine = {"port": str(self.port), "unix_socket_directories": str(self.socket_dir)}
        words = [str(Path(self.programs.bin_dir) / "postgres"), "-D", str(self.data_dir)]
        for name, value in {**mine, **(settings or {})}.items():
            words += ["-c", f"{name}={value}"]
        log_start = self.log.stat().st_size if self.log.exists() else 0
        told = run_program(
            ["/bin/sh", "-c", _START, "sh", str(self.log), *words], self.user, self.data_dir, timeout, new_session=True
        )
        try:
            pid = int(told.split()[-1])
        except (ValueError, IndexError):
            raise RepriseError(f"PostgreSQL could not be started on {self.data_dir}", cause=told.strip()) from None
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.pid() == pid:
                return pid
            if not processes.is_alive(pid):
                raise RepriseError(
                    f"PostgreSQL did not start on {self.data_dir}", cause=self.log_tail(since=log_start) or None
                )
            time.sleep(_POLL)
        raise Unreachable(
            f"PostgreSQL did not take hold of {self.data_dir} within {timeout:g} seconds",
            cause=self.log_tail(since=log_start) or None,
        )

    def _remove_stale_locks(self) -> None:
        """A dead server's postmaster.pid and socket lock. PostgreSQL removes them itself, except where that pid is in
        use again, or is a zombie that nobody collects (a container without an init): then it would never start."""
        if not self.processes():
            self.data_dir.joinpath("postmaster.pid").unlink(missing_ok=True)
        lock = self.socket_dir / f".s.PGSQL.{self.port}.lock"
        try:
            holder = int(lock.read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return
        if not processes.is_postgres(abs(holder)):
            lock.unlink(missing_ok=True)

    def pid(self) -> int | None:
        """The postmaster's pid, where one runs on this data directory."""
        return processes.postmaster_pid(self.data_dir)

    def processes(self) -> list[int]:
        """Every process of this server, orphans of a killed postmaster included."""
        return processes.processes_in(self.data_dir)

    def startup_title(self) -> str | None:
        """What the startup process is at (``recovering 0000…``, ``waiting for 0000…``), None where none runs."""
        pid = self.pid()
        return processes.startup_title(pid) if pid is not None else None

    def stop(
        self,
        mode: Literal["smart", "fast", "immediate"] = "fast",
        *,
        timeout: float = 120,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> bool:
        """Stop the server and wait until its last process is gone, with ``meanwhile`` in between. False where none
        ran. Raises Unreachable after ``timeout`` seconds; the server is then still on its way down."""
        pid = self.pid()
        if pid is None and not self.processes():
            return False
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, _SIGNALS[mode])
        self.wait(
            lambda: not self.processes(), timeout, f"PostgreSQL on {self.data_dir} did not stop ({mode})", meanwhile
        )
        return True

    def wait(
        self,
        condition: Callable[[], bool],
        timeout: float,
        otherwise: str,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """Poll ``condition`` until it holds, with ``meanwhile`` in between. Raises Unreachable(``otherwise``) after
        ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while not condition():
            meanwhile()
            if time.monotonic() > deadline:
                raise Unreachable(f"{otherwise} within {timeout:g} seconds", cause=self.log_tail() or None)
            time.sleep(_POLL)

    def wait_accepting(self, timeout: float = 60, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Wait until the server accepts connections (read-only ones too). Raises RepriseError where it dies
        meanwhile, Unreachable after ``timeout`` seconds."""

        def accepting() -> bool:
            if self.pid() is None:
                raise RepriseError(
                    f"PostgreSQL on {self.data_dir} ended before it accepted connections", cause=self.log_tail() or None
                )
            return self.is_accepting()

        self.wait(accepting, timeout, f"PostgreSQL on {self.data_dir} did not accept connections", meanwhile)

    def is_accepting(self) -> bool:
        """Whether a connection can be made now."""
        try:
            self.connect(timeout=5).close()
        except Unreachable:
            return False
        return True

    def connect(
        self, dbname: str | None = None, user: str | None = None, *, timeout: float = 10, statement_timeout: float = 30
    ) -> Connection:
        """A connection over the server's socket (autocommit, with timeouts in seconds). Raises Unreachable."""
        return connect(
            host=str(self.socket_dir),
            port=self.port,
            user=user or self.database_user,
            dbname=dbname or self.dbname,
            as_user=self.user,
            timeout=timeout,
            statement_timeout=statement_timeout,
        )

    def control(self) -> ControlFile:
        """The data directory's pg_control. Raises RepriseError where it cannot be read, DamagedCopy where it is
        damaged."""
        try:
            return read_control_file((self.data_dir / "global" / "pg_control").read_bytes())
        except OSError as failure:
            raise RepriseError(f"{self.data_dir}/global/pg_control cannot be read", cause=str(failure)) from None

    def log_tail(self, lines: int = 8, *, since: int = 0) -> str:
        """The last lines of the server's log, from byte ``since`` on."""
        try:
            with self.log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(since, size - 65536))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


def connect_site(database: Any, as_user: OsUser | None = None, *, timeout: float = 10) -> Connection:
    """A connection to a site's own server; ``database`` is the site's ``[database]`` (engine.site.Database). Raises
    Unreachable."""
    return connect(
        host=database.host,
        port=database.port,
        user=database.user,
        dbname=database.dbname,
        as_user=as_user,
        timeout=timeout,
    )


def in_recovery(connection: Connection) -> bool:
    return bool(_value(connection, "SELECT pg_is_in_recovery()"))


def replay_lsn(connection: Connection) -> Lsn | None:
    """How far replay has come (the end of the last record), None on a server that never replayed."""
    text = _value(connection, "SELECT pg_last_wal_replay_lsn()::text")
    return parse_lsn(text) if text is not None else None


def _value(connection: Connection, query: Any) -> Any:
    row = connection.execute(query).fetchone()
    return row[0] if row is not None else None


def check_socket_path(socket_dir: Path, port: int) -> None:
    """Raises RepriseError where the socket's path would not fit into sockaddr_un (unix(7): 108 bytes with the NUL)."""
    path = socket_dir / f".s.PGSQL.{port}"
    if len(os.fsencode(path)) > 107:
        raise RepriseError(
            f"the socket folder's path is too long: {socket_dir}",
            cause=f"{path} has {len(os.fsencode(path))} bytes, a Unix socket's path may have 107",
            remedy="use a folder with a shorter path",
        )


def free_port() -> int:
    """A TCP port of the loopback that nobody uses now, for a socket's name and a listening server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
