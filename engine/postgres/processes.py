"""What the operating system knows of a running server (Linux: /proc). No connection is needed.

Every process of a server has its data directory as working folder (src/backend/utils/init/miscinit.c,
ChangeToDataDir), by inode: a folder that was renamed under its server is still recognised.
"""

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from engine.records.errors import RepriseError

_PROC = Path("/proc")


class PostmasterFile(NamedTuple):
    """postmaster.pid (src/include/utils/pidfile.h): what a server wrote about itself when it started."""

    pid: int
    data_dir: str
    port: int | None
    socket_dir: str | None
    status: str | None  # starting, stopping, ready, standby


def read_postmaster_file(data_dir: Path) -> PostmasterFile | None:
    """The data directory's postmaster.pid, None where it is absent or unreadable. It may be a dead server's."""
    try:
        lines = (data_dir / "postmaster.pid").read_text(errors="surrogateescape").splitlines()
        pid = abs(int(lines[0]))  # negative: a single-user backend
    except (OSError, ValueError, IndexError):
        return None
    field = dict(enumerate(line.strip() for line in lines))
    port = field.get(3, "")
    return PostmasterFile(
        pid, field.get(1, ""), int(port) if port.isdigit() else None, field.get(4) or None, field.get(7) or None
    )


def postmaster_pid(data_dir: Path) -> int | None:
    """The pid of the server that runs on this data directory now; None where there is none.

    The pid in postmaster.pid of a dead server may have become another process's: it counts only where that process
    is a postgres that works in this very folder.
    """
    noted = read_postmaster_file(data_dir)
    if noted is None or not works_in(noted.pid, data_dir):
        return None
    return noted.pid


def works_in(pid: int, data_dir: Path) -> bool:
    """Whether a live postgres process with this pid works in this data directory."""
    if not is_postgres(pid):
        return False
    process = _PROC / str(pid)
    try:
        return os.path.samestat(process.joinpath("cwd").stat(), data_dir.stat())
    except PermissionError:  # another user's: its folder cannot be seen, its owner can
        try:
            return process.stat().st_uid == data_dir.stat().st_uid
        except OSError:
            return False
    except OSError:
        return False


def is_postgres(pid: int) -> bool:
    """Whether this is a live process of PostgreSQL's."""
    try:
        return is_alive(pid) and (_PROC / str(pid) / "comm").read_text().strip() in ("postgres", "postmaster")
    except OSError:
        return False


def is_alive(pid: int) -> bool:
    """Whether such a process runs; a zombie does not."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):
        return False


def processes_in(data_dir: Path) -> list[int]:
    """All postgres processes that work in this data directory, children that outlive their postmaster included."""
    return sorted(
        int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit() and works_in(int(entry.name), data_dir)
    )


def children_titles(pid: int) -> dict[int, str]:
    """The process titles of a process's children, e.g. ``postgres: startup recovering 000000010000000000000003``, by
    their pids."""
    titles = {}
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                said = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                titles[int(entry.name)] = said
        except (OSError, ValueError, IndexError):
            continue
    return titles


def startup_title(pid: int) -> str | None:
    """What a postmaster's startup process is at, e.g. ``recovering 000000010000000000000003`` or ``waiting for
    000000010000000000000004``; None where there is none (any more)."""
    for title in children_titles(pid).values():
        _, found, activity = title.partition("startup")
        if title.startswith("postgres:") and found:
            return activity.strip()
    return None


def wake_archiver(pid: int) -> None:
    """Let a postmaster's archiver look at once for what is to be archived. Before PostgreSQL 14 a reload does not: it
    looks when a segment is full, else once a minute (pgarch_MainLoop in pgarch.c; SIGUSR1 wakes it)."""
    for child, title in children_titles(pid).items():
        if title.startswith("postgres:") and "archiver" in title.split():
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGUSR1)


def running_on(program: str, folder: Path) -> list[int]:
    """Every live ``program`` that names this folder, or one in it, among its words."""
    names = {os.fspath(folder), os.path.realpath(folder)}

    def named(words: Sequence[str]) -> bool:
        return any(word.endswith(name) or f"{name}/" in word for word in words for name in names)

    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if _is_stray(process, program, named):
                found.append(process.pid)
    return found


def end_strays(program: str, folder: Path) -> None:
    """End every ``program`` that an engine which died left behind, with this folder or one in it among its words: it
    would go on writing there. Raises RepriseError where one cannot be ended."""
    _end(program, lambda words: any(word.endswith(os.fspath(folder)) or f"{folder}/" in word for word in words))


def end_strays_saying(program: str, words: Sequence[str]) -> None:
    """The same of every ``program`` that was started with all these words."""
    _end(program, set(words).issubset)


def _end(program: str, ours: Callable[[Sequence[str]], bool]) -> None:
    remedy = "end it, then: reprise resume"
    strays = []
    for process in psutil.process_iter():
        try:
            if _is_stray(process, program, ours):
                process.kill()
                strays.append(process)
        except psutil.AccessDenied:
            told = f"process {process.pid} is another user's"
            raise RepriseError(f"a {program} cannot be ended", cause=told, remedy=remedy) from None
        except psutil.NoSuchProcess:
            continue
    if psutil.wait_procs(strays, timeout=10)[1]:
        raise RepriseError(f"a {program} of an earlier attempt cannot be ended", remedy=remedy)


def _is_stray(process: psutil.Process, program: str, ours: Callable[[Sequence[str]], bool]) -> bool:
    """Raises psutil.Error: AccessDenied only where it is such a program, and nobody may say what it writes to."""
    try:
        words = process.cmdline()
    except psutil.AccessDenied:
        if process.name()[:15] != program[:15]:  # the kernel keeps no more of it
            return False
        raise
    return any(Path(word).name == program for word in words[:2]) and ours(words)
