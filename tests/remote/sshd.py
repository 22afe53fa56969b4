"""A real sshd on loopback, with keys of its own; how to reach it goes through RSYNC_RSH, as rsync itself has it.

All commands of a test share one connection (ssh_config(5), ControlMaster): setting one up is what takes the time.
"""

import getpass
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.postgres.server import free_port
from tests.clusters import wait_until

NEEDED = ("rsync", "ssh", "ssh-keygen")


@dataclass
class Sshd:
    """``rsh`` is what RSYNC_RSH must be."""

    port: int
    rsh: str
    process: "subprocess.Popen[bytes]"

    def place(self, path: Path) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{path}"


@contextmanager
def running_sshd(folder: Path) -> Iterator[Sshd]:
    """``folder`` must be the user's own and closed to others. Skips where a program is missing."""
    program = shutil.which("sshd") or "/usr/sbin/sshd"
    missing = [name for name in NEEDED if shutil.which(name) is None] + ([] if Path(program).exists() else ["sshd"])
    if missing:
        pytest.skip(f"{missing[0]} is not on this machine")
    folder.chmod(0o700)
    for key in ("host", "user"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(words, check=True)
    port = free_port()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        f"Subsystem sftp internal-sftp\n"
    )
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # its privilege separation wants it (sshd(8))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "-D", "-e", "-f", str(folder / "config")], stdout=log, stderr=log)
    rsh = f"ssh -F none -o BatchMode=yes -i {folder}/user -o UserKnownHostsFile={folder}/known_hosts"
    rsh += f" -o ControlMaster=auto -o ControlPersist=60 -o ControlPath={folder}/c"
    words = [*rsh.split(), "-p", str(port), f"{getpass.getuser()}@127.0.0.1"]
    try:
        wait_until(
            lambda: subprocess.run([*words, "true"], capture_output=True).returncode == 0, "sshd does not answer", 20
        )
        yield Sshd(port, rsh, process)
    finally:
        subprocess.run([*words, "-O", "exit"], capture_output=True, check=False)
        process.kill()
        process.wait()
