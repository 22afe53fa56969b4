"""File systems, memory, ports, logind."""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from engine.records.errors import RepriseError
from engine.records.survey import FileSystem, OsUser
from engine.survey.patience import within
from engine.system import users
from engine.system.programs import run_program

FSTAB = Path("/etc/fstab")
UNITS = tuple(map(Path, ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system")))
_LOGIND = ("busctl", "get-property", "org.freedesktop.login1", "/org/freedesktop/login1")


def file_system(path: str) -> FileSystem | None:
    """The file system on which a path lies or would lie; None where it cannot be asked within five seconds."""
    return within(5, lambda: _file_system(path), None)


def _file_system(path: str) -> FileSystem | None:
    nearest = Path(path)
    while not nearest.is_dir():
        if nearest == nearest.parent:
            return None
        nearest = nearest.parent
    room = os.statvfs(nearest)
    return FileSystem(
        path=path,
        nearest=str(nearest),
        device=nearest.stat().st_dev,
        mount_point=str(mount_point_of(nearest)),
        free_bytes=room.f_bavail * room.f_frsize,
        total_bytes=room.f_blocks * room.f_frsize,
        writable=os.access(nearest, os.W_OK | os.X_OK),
        free_files=room.f_favail,
        total_files=room.f_files,
    )


def closed_to(user: OsUser, folder: Path) -> str | None:
    """The first folder on the way down to this one that a user may not enter; None: he may enter all. What the mode
    bits forbid an access list may allow: then it is tried as that user. Raises OSError."""
    closed = users.closed_to(user, folder)
    if closed is None:
        return None
    try:
        run_program(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)], user, timeout=3)
    except RepriseError:
        return str(closed)
    return None


def mount_point_of(folder: Path) -> Path:
    """The folder at which its file system is mounted."""
    folder = folder.resolve()
    while folder != folder.parent and not is_mount_point(folder):
        folder = folder.parent
    return folder


def is_mount_point(folder: Path) -> bool:
    """Whether a file system is mounted here; bind mounts of the same device stand in mountinfo only (proc(5))."""
    return os.path.ismount(folder) or folder in _mount_points()


def mounts_below(folder: Path) -> tuple[Path, ...]:
    """The mount points deeper than this folder."""
    return tuple(sorted({each for each in _mount_points() if each != folder and each.is_relative_to(folder)}))


def _mount_points() -> list[Path]:
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    return [Path(_unescape(line.split(" ")[4])) for line in lines if line.count(" ") > 4]


def mounted_below(folder: Path) -> list[str]:
    """Where another file system is mounted inside a folder, the outermost ones; none where that is not known."""
    folder = folder.resolve()
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    places = sorted({Path(_unescape(line.split(" ")[4])) for line in lines if line.count(" ") > 4})
    outermost: list[Path] = []
    for place in places:
        if place != folder and place.is_relative_to(folder) and not any(map(place.is_relative_to, outermost)):
            outermost.append(place)
    return [os.fspath(place) for place in outermost]


class Unmounted(NamedTuple):
    """A mount point that is told by ``source``, a file, and where nothing is mounted now."""

    place: Path
    source: Path


def unmounted_above(folder: Path, fstab: Path, units: Iterable[Path]) -> Unmounted | None:
    """The mount point of fstab(5) or of a systemd.mount(5) unit, at this folder or above it, that would hold it and is
    not mounted; None: there is none. What is mounted deeper than that counts: the folder lies there."""
    folder = folder.resolve()
    actual = mount_point_of(folder)
    told = ((each.resolve(), source) for each, source in (*_in_fstab(fstab), *_of_units(units)))
    away = [
        Unmounted(place, source)
        for place, source in told
        if folder.is_relative_to(place) and place != actual and place.is_relative_to(actual)
    ]
    return max(away, key=lambda each: len(each.place.parts), default=None)


def _in_fstab(fstab: Path) -> Iterator[tuple[Path, Path]]:
    try:
        lines = fstab.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return
    for fields in (line.split() for line in lines if not line.lstrip().startswith("#")):
        if len(fields) > 2 and fields[1].startswith("/"):
            yield Path(_unescape(fields[1])), fstab


def _of_units(folders: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """The mount units that somebody wrote, or enabled, on this machine; one that is masked (a link to /dev/null) is
    none. A unit's name is its mount point (systemd.unit(5), "String escaping for inclusion in unit names")."""
    for folder in folders:
        for pattern in ("*.mount", "*.wants/*.mount", "*.requires/*.mount"):
            for unit in folder.glob(pattern):
                if os.path.realpath(unit) != "/dev/null":
                    slashed = unit.name.removesuffix(".mount").replace("-", "/")
                    plain = re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), os.fsencode(slashed))
                    yield Path("/", os.fsdecode(plain)), unit


def _unescape(name: str) -> str:
    """mountinfo and fstab write space, tab, newline and backslash as octal numbers."""
    for written, meant in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        name = name.replace(written, meant)
    return name


def memory() -> tuple[int | None, int | None]:
    """The machine's memory in bytes, and what of it is available."""
    try:
        found = psutil.virtual_memory()
    except (OSError, RuntimeError):
        return None, None
    return found.total, found.available


def port_user(port: int) -> str | None:
    """Who listens on this port, on TCP or on a PostgreSQL socket of that number; None: nobody."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
                return _process(connection.pid)
        for socket in psutil.net_connections("unix"):
            if (
                isinstance(socket.laddr, str)
                and socket.laddr.endswith(f"/.s.PGSQL.{port}")
                and _is_socket(socket.laddr)
            ):
                return f"a server with its socket at {socket.laddr}"
    except (psutil.Error, OSError):
        return None
    return None


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(Path(path).stat().st_mode)
    except OSError:
        return False


def _process(pid: int | None) -> str:
    try:
        return f"{psutil.Process(pid).name()}, pid {pid}" if pid else "another user's process"
    except psutil.Error:
        return f"pid {pid}"


def login_facts() -> tuple[bool, bool]:
    """logind's KillUserProcesses and RemoveIPC (logind.conf(5)); both False where no logind runs."""
    if not Path("/run/systemd/system").is_dir():
        return False, False
    kills, removes = (_logind(name) for name in ("KillUserProcesses", "RemoveIPC"))
    return kills, removes


def _logind(name: str) -> bool:
    try:
        told = run_program([*_LOGIND, "org.freedesktop.login1.Manager", name], timeout=3)
        return told.split()[-1:] == ["true"]
    except (RepriseError, OSError):
        return False
