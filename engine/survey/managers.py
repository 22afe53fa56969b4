"""Who else starts and stops the server: cluster managers, and a service manager that restarts it."""

import re
from pathlib import Path

import psutil

from engine.records.errors import RepriseError
from engine.system.programs import run_program

_MANAGERS = {
    "patroni": "Patroni",
    "pacemakerd": "Pacemaker",
    "corosync": "Corosync",
    "repmgrd": "repmgr",
    "stolon-keeper": "Stolon",
    "pg_autoctl": "pg_auto_failover",
}
_SCRIPT = re.compile(r"(?:^|/)python[0-9.]*$")


def find_managers(postmaster_pid: int | None, stop_command: str) -> tuple[str, ...]:
    """In words, with process ids or unit names. A unit that restarts after a clean stop counts, unless the site's own
    stop command goes through systemctl."""
    found = dict.fromkeys(_processes())
    unit = restarting_unit(postmaster_pid) if postmaster_pid else None
    if unit and "systemctl" not in stop_command:
        found[unit] = None
    return tuple(found)


def _processes() -> list[str]:
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        command = process.info["cmdline"] or []
        names = [Path(word).name for word in command[:1]]
        if command and _SCRIPT.search(command[0]):
            names += [Path(word).name for word in command[1:2]]
            if command[1:2] == ["-m"]:
                names += command[2:3]
        for name in {process.info["name"] or "", *names}:
            if name in _MANAGERS:
                found.append(f"{_MANAGERS[name]} (pid {process.pid})")
    return found


def restarting_unit(pid: int) -> str | None:
    """The systemd unit of a process, where it restarts even after a clean exit (systemd.service(5), Restart=)."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    units = [part for line in lines for part in line.rpartition(":")[2].split("/") if part.endswith(".service")]
    if not units or units[-1].startswith("user@"):
        return None
    try:
        policy = run_program(["systemctl", "show", "--property=Restart", "--value", units[-1]], timeout=5).strip()
    except (RepriseError, OSError):
        return None
    return f"systemd unit {units[-1]} (Restart={policy})" if policy in ("always", "on-success") else None
