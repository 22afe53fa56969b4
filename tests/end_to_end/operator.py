"""An operator of a test: a site file for a cluster, the command `reprise` in a process of its own, and what it says."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.cli import main as command_line
from engine.postgres.connecting import connect
from tests.clusters import Cluster

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Said:
    """What one call of the command line came to."""

    code: int
    document: dict[str, Any]
    errors: str


@dataclass
class Operator:
    """Works on one site; ``home`` holds site file, state and side copies."""

    cluster: Cluster
    home: Path
    site: Path

    def command(self, *words: str | Path) -> list[str]:
        return [sys.executable, "-m", "tui", *self._arguments(*words)]

    def _arguments(self, *words: str | Path) -> list[str]:
        return ["--site", str(self.site), "--state", str(self.home / "state"), "--json", *map(str, words)]

    def call(self, *words: str | Path, expect: int | None = None, timeout: float = 240) -> Said:
        """One command with --json, in a process of its own as an operator types it. Checks that exactly one document
        came, and the exit code if one is expected."""
        done = subprocess.run(
            self.command(*words), capture_output=True, text=True, cwd=CHECKOUT, timeout=timeout, check=False
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert done.stdout, f"no document for {words}: {done.stderr}"
        said = Said(done.returncode, json.loads(done.stdout), done.stderr)
        if expect is not None:
            assert said.code == expect, _why(said)
        return said

    def ask(self, *words: str | Path, expect: int | None = None) -> Said:
        """The same command, in this process; only an engine that it starts is one of its own. It costs a tenth of
        ``call``: for tests of what a command comes to, not of the program that it is typed to."""
        out, errors = io.TextIOWrapper(io.BytesIO()), io.StringIO()
        with redirect_stdout(out), redirect_stderr(errors):
            code = command_line(self._arguments(*words), open_screen=lambda *_, **__: 0)
        assert isinstance(out.buffer, io.BytesIO)
        assert "a defect in Reprise" not in errors.getvalue(), errors.getvalue()
        said = Said(code, json.loads(out.buffer.getvalue()), errors.getvalue())
        if expect is not None:
            assert said.code == expect, _why(said)
        return said

    def copy_to(self, name: str = "copy") -> Path:
        """A destination that does not exist yet."""
        return self.home / name

    def rows(self, report: dict[str, Any]) -> set[int]:
        """The ledger's rows in the recovered server that a report names."""
        with connect(
            host=report["host"], port=report["port"], user="postgres", as_user=self.cluster.user, timeout=10
        ) as connection:
            return {row[0] for row in connection.execute("SELECT id FROM ledger").fetchall()}

    def kill_engine(self, pid: int) -> None:
        """SIGKILL from outside to the engine alone; its children stay as they fall."""
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX":
                    return
            except OSError:
                return
            time.sleep(0.01)


def _why(said: Said) -> str:
    """What a failed expectation needs to show."""
    checks = [check for check in said.document.get("checks", []) if check["ok"] is not True]
    told = {key: said.document.get(key) for key in ("outcome", "error", "reached", "steps", "results")}
    return json.dumps([said.code, told, checks], indent=1) + said.errors


def operator_for(cluster: Cluster, home: Path, *, application: bool = False, verify: tuple[str, ...] = ()) -> Operator:
    """An operator with a site file for a test's cluster, in a folder that the cluster's user may enter."""
    site = home / "site.toml"
    lines = [
        "[site]",
        'name = "archive"',
        'timezone = "Europe/Moscow"',
        "[database]",
        f'data_dir = "{cluster.data_dir}"',
        f'bin_dir = "{cluster.programs.bin_dir}"',
        f'host = "{cluster.socket_dir}"',
        f"port = {cluster.port}",
        f'run_as = "{cluster.user.name}"',
        "[[database.repository]]",
        'kind = "directory"',
        f'base_backups = "{cluster.backups}"',
        f'wal = "{cluster.archive}"',
    ]
    if application:
        lines += [
            "[application]",
            f'stop = "touch {home}/application-stopped"',
            f'start = "touch {home}/application-started"',
        ]
    if verify:
        lines += ["[verify]", f"sql = {json.dumps(list(verify))}"]
    site.write_text("\n".join(lines) + "\n")
    return Operator(cluster, home, site)
