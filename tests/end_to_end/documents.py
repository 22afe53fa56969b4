"""A small document system with a database, files and snapshots, for tests of what brings both back together."""

import hashlib
import os
from pathlib import Path

from tests.clusters import Cluster
from tests.end_to_end.operator import Operator, operator_for


class System:
    """A small document system: rows that refer to files."""

    def __init__(self, operator: Operator) -> None:
        self.operator, self.cluster, self.media = operator, operator.cluster, operator.home / "media"
        self.contents: dict[str, bytes] = {}

    def upload(self, path: str) -> None:
        """As a program does it: the file first, then its row."""
        content = os.urandom(2000)
        place = self.media / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        self.contents[path] = content
        with self.cluster.connect() as connection:
            connection.execute("DELETE FROM attachments WHERE path = %s", (path,))
            row = (path, len(content), hashlib.sha256(content).digest())
            connection.execute("INSERT INTO attachments VALUES (%s, %s, %s)", row)

    def files(self) -> dict[str, bytes]:
        found = (place for place in self.media.rglob("*") if place.is_file())
        return {str(place.relative_to(self.media)): place.read_bytes() for place in found}

    def moment(self) -> str:
        """A restore point after all that was done."""
        self.cluster.sql("SELECT pg_create_restore_point('then')")
        return "then"


def make_system(cluster: Cluster, open_dir: Path) -> System:
    """Six files with their rows, and a base backup from before."""
    operator = operator_for(cluster, open_dir)
    for name in ("media", "snapshots"):
        (open_dir / name).mkdir()
    with operator.site.open("a") as file:
        file.write(f'[media]\npath = "{open_dir}/media"\nreferences = "SELECT path, size, sha256 FROM attachments"\n')
        file.write(f'[[media.repository]]\nkind = "directory"\npath = "{open_dir}/snapshots"\n')
    cluster.sql("CREATE TABLE attachments (path text, size bigint, sha256 bytea)")
    cluster.base_backup("one", "tar.gz")
    made = System(operator)
    for number in range(6):
        made.upload(f"2026/11/27/{number}.pdf")
    return made


def after_an_accident(system: System) -> tuple[str, dict[str, bytes]]:
    """A moment, what stood there then, and a snapshot of it; then files are changed, lost, and added."""
    operator, media = system.operator, system.media
    operator.ask("backup", "media", expect=0)
    system.upload("2026/11/27/late.pdf")  # in no snapshot, and still there
    target, then = system.moment(), system.files()
    system.upload("2026/11/27/1.pdf")  # another content
    system.upload("2026/11/28/after.pdf")
    (media / "2026/11/27/2.pdf").unlink()
    system.cluster.switch()
    return target, then
