"""Production's own server: whether it runs, how it was started, stopping and starting it as its site does."""

import os
import shlex
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.formats.settings_file import read_list, read_settings
from engine.postgres import processes
from engine.postgres.server import Server
from engine.records.errors import RunFailed, Unreachable
from engine.steps.protocol import RunningStep
from engine.steps.shared import server_waits
from engine.steps.shared.commands import run_site_command
from engine.steps.shared.layout import layout_of
from engine.system.programs import run_program
from engine.system.users import is_root

_START = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!'  # nobody's child, as engine/postgres/server.py has it
_START_TIMEOUT = 600.0  # crash recovery may come first
LOG = "reprise-start.log"  # in the data directory: what a server says that we start without the site's command


def production_dir(step: RunningStep) -> Path:
    """Where production's data directory stands. Raises RunFailed where the plan is not one in place."""
    production = layout_of(step.plan).production
    if production is None:
        raise RunFailed("the plan names no production cluster", remedy="plan again")
    return Path(production)


def how_it_runs(data_dir: Path) -> dict[str, Any] | None:
    """How the server on this data directory was started, for starting it again the same way; None: it does not run."""
    if processes.postmaster_pid(data_dir) is None:
        return None
    return {"words": last_words(data_dir) or ["-D", str(data_dir)]}


def last_words(data_dir: Path) -> list[str]:
    """The command line that this cluster was last started with, from postmaster.opts (CreateOptsFile in postmaster.c:
    each word in double quotes); empty where that is unknown."""
    try:
        return shlex.split((data_dir / "postmaster.opts").read_text(errors="surrogateescape"))[1:]
    except (OSError, ValueError):
        return []


def usual_words(step: RunningStep, data_dir: Path) -> list[str]:
    """How the site file says that production is started: with its files where they are outside the data directory."""
    database = step.site.database
    words = ["-D", str(data_dir)]
    named = {"config_file": database.config_file, "hba_file": database.hba_file, "ident_file": database.ident_file}
    for setting, path in named.items():
        if path:
            words += ["-c", f"{setting}={path}"]
    set_there = _configured(data_dir, database.config_file)
    if "port" not in set_there:  # on a bare machine what production's own command line said is gone with it
        words += ["-c", f"port={database.port}"]
    if "unix_socket_directories" not in set_there and database.host.startswith("/"):
        words += ["-c", f"unix_socket_directories={database.host}"]
    return words


def missing_socket_folders(step: RunningStep, data_dir: Path) -> list[str]:
    """The folders in which production's server will make its sockets, and those above, that are not there, as on a new
    machine: without them it does not start. The outer ones first."""
    database = step.site.database
    told = _configured(data_dir, database.config_file).get("unix_socket_directories", database.host)
    folders = list(map(Path, read_list(told)))
    whole = [place for each in folders if each.is_absolute() for place in (*reversed(each.parents), each)]
    return [str(place) for place in dict.fromkeys(whole) if not os.path.lexists(place)]


def make_socket_folders(step: RunningStep, folders: Sequence[str]) -> None:
    """Made as PostgreSQL's packages make /var/run/postgresql: the server's user's, and anybody may enter. Raises
    RunFailed."""
    user = layout_of(step.plan).run_as
    for folder in map(Path, folders):
        try:
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)  # whatever the umask
            if is_root():
                os.chown(folder, user.uid, user.gid, follow_symlinks=False)
        except OSError as error:
            raise RunFailed(
                f"the folder of production's socket, {folder}, cannot be made",
                cause=error.strerror,
                remedy=f"make it for {user.name}, then resume the run",
            ) from error
        step.log(f"made {folder} for production's socket")


def _configured(data_dir: Path, config_file: str | None) -> dict[str, str]:
    """What production's own configuration files set; included files are not looked into."""
    found: dict[str, str] = {}
    for path in (Path(config_file) if config_file else data_dir / "postgresql.conf", data_dir / "postgresql.auto.conf"):
        with suppress(OSError):
            found |= read_settings(path.read_text("utf-8", "replace"))
    return found


def stop(step: RunningStep, data_dir: Path, *, by_command: bool = True) -> None:
    """Stop whatever server runs on this data directory: with the site's command, else (or where it is not the server
    that the command knows of: ``by_command`` False) with a fast shutdown. Returns when its last process is gone.
    Raises RepriseError."""
    if not processes.processes_in(data_dir):
        return
    command = step.site.database.stop_command if by_command else ""
    if command:
        run_site_command(command, "[database] stop_command", step.log, waiting=lambda: step.progress(0, None))
        deadline = time.monotonic() + server_waits.STOP_TIMEOUT
        while processes.processes_in(data_dir) and time.monotonic() < deadline:
            server_waits.serve(step)
            time.sleep(0.1)
        if processes.processes_in(data_dir):
            raise Unreachable(
                f"a server still runs on {data_dir}",
                cause="[database] stop_command succeeded, and the server goes on",
                remedy="stop it by hand, then resume the run",
            )
    else:
        server_waits.stop(step, server_on(step, data_dir))
    step.log(f"the server on {data_dir} is stopped")


def start(step: RunningStep, data_dir: Path, words: Sequence[str]) -> None:
    """Start production's server with the site's command, else with these words, unless it runs, and wait until it says
    of itself that it accepts connections. One that is still on its way down (a run was stopped while it waited for
    that) is waited for first. Raises RepriseError."""
    server = server_on(step, data_dir)
    if (running := processes.read_postmaster_file(data_dir)) is not None and running.status == "stopping":
        server_waits.stop(step, server)
    if server.pid() is None:
        _start_it(step, server, words)
    began = time.monotonic()
    while (told := processes.read_postmaster_file(data_dir)) is None or told.status not in ("ready", "standby"):
        step.progress(0, None, detail="waiting for the server to accept connections")
        if server.pid() is None or time.monotonic() - began > _START_TIMEOUT:
            raise RunFailed(
                f"the server on {data_dir} did not come up",
                cause=server.log_tail() or None,
                remedy="see its log, then try again",
            )
        time.sleep(0.1)


def _start_it(step: RunningStep, server: Server, words: Sequence[str]) -> None:
    pid = None
    if command := step.site.database.start_command:
        run_site_command(command, "[database] start_command", step.log, waiting=lambda: step.progress(0, None))
    else:
        program = str(Path(server.programs.bin_dir) / "postgres")
        shell = ["/bin/sh", "-c", _START, "sh", str(server.log), program, *words]
        pid = int(run_program(shell, server.user, server.data_dir, 60, new_session=True).split()[-1])
    began = time.monotonic()
    while server.pid() is None:
        step.progress(0, None, detail="waiting for the server to start")
        waited = time.monotonic() - began
        if waited > 60 or (waited > 2 and pid is not None and not processes.is_postgres(pid)):
            raise RunFailed(
                f"no server took hold of {server.data_dir}",
                cause=server.log_tail() or ("started with [database] start_command" if command else None),
                remedy="see why it does not start, then try again",
            )
        time.sleep(0.1)
    step.log(f"the server on {server.data_dir} runs (pid {server.pid()})")


def start_as_it_was(step: RunningStep, data_dir: Path, record: Mapping[str, Any]) -> None:
    """Start a server again that ``how_it_runs`` described."""
    start(step, data_dir, record["words"])


def server_on(step: RunningStep, data_dir: Path) -> Server:
    """Production's server, at the site's own address."""
    layout, database = layout_of(step.plan), step.site.database
    folder = Path(database.host if database.host.startswith("/") else "/tmp")
    log = data_dir / LOG
    return Server(layout.programs, data_dir, layout.run_as, folder, database.port, log, database.user, database.dbname)
