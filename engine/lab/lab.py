"""A finished lab: its site file, its server."""

import json
from pathlib import Path
from typing import Any

from msgspec import Struct

from engine.lab.place import DONE
from engine.lab.workload import Workload, start_workload
from engine.postgres.server import Server
from engine.records.errors import RepriseError
from engine.records.survey import OsUser, Programs

DATABASE_USER = "postgres"


class Lab(Struct, frozen=True):
    """One lab. Its server is the site's: a restore in place may have put another data directory under it."""

    directory: Path
    programs: Programs
    user: OsUser
    port: int

    @property
    def site_file(self) -> Path:
        return self.directory / "site.toml"

    @property
    def data_dir(self) -> Path:
        return self.directory / "data"

    @property
    def socket_dir(self) -> Path:
        return self.directory / "s"

    @property
    def base_backups(self) -> Path:
        return self.directory / "backup" / "base"

    @property
    def archive(self) -> Path:
        return self.directory / "backup" / "wal"

    @property
    def media(self) -> Path:
        return self.directory / "media"

    @property
    def media_snapshots(self) -> Path:
        return self.directory / "backup" / "media"

    @property
    def dumps(self) -> Path:
        return self.directory / "backup" / "dumps"

    @property
    def software(self) -> Path:
        """Where the document system is installed."""
        return self.directory / "docs"

    @property
    def source(self) -> Path:
        """Its source code, in git where the machine has that."""
        return self.software / "src"

    @property
    def source_mirror(self) -> Path:
        return self.directory / "backup" / "source" / "docs.git"

    @property
    def images(self) -> Path:
        return self.directory / "backup" / "image"

    @property
    def server(self) -> Server:
        log = self.directory / "log" / "postgresql.log"
        return Server(self.programs, self.data_dir, self.user, self.socket_dir, self.port, log, DATABASE_USER)

    def start_server(self) -> bool:
        """Start the site's server and wait until it accepts connections; nothing where it runs. False where a restore
        in place has left the data directory half-way: then only the engine may start it."""
        if self.server.pid() is not None:
            return True
        if not self._settled():
            return False
        self.server.start()
        self.server.wait_accepting()
        return True

    def stop_server(self) -> None:
        """Stop the site's server; nothing where none runs."""
        self.server.stop()

    def start_workload(self, *, writers: int = 4, pause: float = 0.02, seed: int = 1) -> Workload:
        """Let life in the document system go on; end it with the workload's ``stop``."""
        return start_workload(
            self.socket_dir, self.port, self.media, self.user, writers=writers, pause=pause, seed=seed
        )

    def truth(self) -> dict[str, Any]:
        """What really happened while the lab was built (for tests and drills; the database does not tell): the
        accident's ``table``, ``at`` and ``lsn`` (of its transaction, just before), ``xid``."""
        noted: dict[str, Any] = json.loads((self.directory / DONE).read_text())
        accident: dict[str, Any] = noted["accident"]
        return accident

    def _settled(self) -> bool:
        signals = ("standby.signal", "recovery.signal", "backup_label")
        if any((self.data_dir / name).exists() for name in signals):
            return False
        try:
            return self.server.control().state in ("shut down", "in production")
        except RepriseError:
            return False
