"""Proof drills on a real site: its copies are restored beside it, looked through and thrown away, and production
notices nothing of it."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.run.folder import read_run
from tests.clusters import Cluster, make_cluster, own, processes_below, wait_until
from tests.end_to_end.operator import Said, operator_for

NICE = "SELECT split_part(pg_read_file('/proc/self/stat', 0, 1000), ' ', 19) = '1'"
"""Asked of the recovered server: its own process has the niceness of the drill (proc(5), /proc/pid/stat)."""


class Drilled:
    """A site with users' files, and the folder that its drills' copies are made in."""

    def __init__(self, cluster: Cluster, home: Path) -> None:
        self.cluster, self.operator, self.home = cluster, operator_for(cluster, home), home
        self.into, self.flag = home / "into", home / "flag"
        for name in ("media", "snapshots", "into"):
            (home / name).mkdir()
        self.plain = self.operator.site.read_text()
        self.asks(NICE)
        cluster.sql(f"CREATE TABLESPACE space LOCATION '{cluster.root}/space'")
        cluster.sql("CREATE TABLE elsewhere TABLESPACE space AS SELECT generate_series(1, 1000)")
        cluster.sql("CREATE TABLE attachments (path text, size bigint, sha256 bytea)")
        self.upload("card.pdf")
        self.operator.ask("backup", "base", expect=0)
        if cluster.can_increment:
            self.operator.ask("backup", "base", "--incremental", expect=0)
        self.operator.ask("backup", "media", expect=0)

    def asks(self, *questions: str, references: str = "SELECT path, size, sha256 FROM attachments") -> None:
        """Write the site file with these questions of the site."""
        told = ", ".join(f'"""{each}"""' for each in questions)
        self.operator.site.write_text(f"""{self.plain}
[media]
path = "{self.home}/media"
references = "{references}"
[[media.repository]]
kind = "directory"
path = "{self.home}/snapshots"
[proof]
into = "{self.into}"
nice = 1
idle_io = false
bandwidth = "100MB/s"
[objectives]
rto = "1h"
[verify]
sql = [{told}]
""")

    def upload(self, path: str) -> None:
        content = os.urandom(500)
        (self.home / "media" / path).write_bytes(content)
        row = (path, len(content), hashlib.sha256(content).digest())
        with self.cluster.connect() as connection:
            connection.execute("INSERT INTO attachments VALUES (%s, %s, %s)", row)

    def things(self) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in self.operator.ask("status").document["things"]}

    def killed(self) -> Said:
        """A drill whose engine is killed while it asks the recovered server a question that takes long."""
        self.flag.unlink(missing_ok=True)
        begun = self.operator.ask("drill", "proof", "--detach", expect=0)
        folder = self.home / "state" / "runs" / begun.document["run"]

        def asking() -> bool:
            steps = {step.kind: step.outcome for step in read_run(folder).steps}
            return steps["check-result"] == "running"

        wait_until(asking, "the drill did not come to its questions")
        self.operator.kill_engine(begun.document["pid"])
        wait_until(lambda: read_run(folder).outcome == "interrupted", "it does not count as interrupted")
        self.flag.touch()
        return begun


@pytest.fixture(scope="module")
def shared() -> Iterator[Drilled]:
    cluster = make_cluster("drilled")
    home = cluster.root / "home"
    for folder in (home, cluster.root / "space"):
        folder.mkdir()
    own(cluster.root, cluster.user)
    yield Drilled(cluster, home)
    cluster.destroy()


@pytest.fixture
def drilled(shared: Drilled) -> Iterator[Drilled]:
    """The module's site, running; afterwards its database refers to no file that is not there."""
    shared.asks(NICE)
    yield shared
    if shared.cluster.server.pid() is None:
        shared.cluster.start()
    shared.cluster.sql("DELETE FROM attachments WHERE path = 'never-written.pdf'")
    shared.cluster.switch()


def state_of(*folders: Path) -> dict[str, tuple[object, ...]]:
    """Everything below some folders: inode, owner, mode, times of change, and content."""
    found: dict[str, tuple[object, ...]] = {}
    for folder in folders:
        for place, inner, files in os.walk(folder):
            for name in (*inner, *files):
                path = Path(place) / name
                status = path.lstat()
                digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
                what = (status.st_ino, status.st_mode, status.st_uid, status.st_mtime_ns, status.st_ctime_ns)
                found[str(path)] = (*what, digest)
    return found


def test_production_at_work_notices_nothing_and_the_status_tells_the_proof(drilled: Drilled) -> None:
    cluster, operator = drilled.cluster, drilled.operator
    names = sorted(cluster.data_dir.iterdir())
    settings = [path for path in names if path.suffix in (".conf", ".pid")]
    with cluster.load(2):
        cluster.switch()
        archive = state_of(cluster.archive, cluster.backups, drilled.home / "snapshots", drilled.home / "media")
        kept = {path: (path.stat().st_ino, path.stat().st_ctime_ns, path.read_bytes()) for path in settings}
        report = operator.ask("drill", "proof", expect=0).document
        cluster.switch()
    after = state_of(cluster.archive, cluster.backups, drilled.home / "snapshots", drilled.home / "media")
    assert {path: after.get(path) for path in archive} == archive
    assert {path: (path.stat().st_ino, path.stat().st_ctime_ns, path.read_bytes()) for path in settings} == kept
    assert sorted(cluster.data_dir.iterdir()) == names
    new = sorted(Path(path).name for path in after.keys() - archive.keys())
    assert new and all(re.fullmatch("00000001[0-9A-F]{16}", name) for name in new)  # production's own WAL and no other
    assert (report["outcome"], report["data_dir"], report["answers"]) == ("completed", None, [])
    checked = {check["name"]: check for check in report["checks"]}
    assert all(checked[name]["ok"] is True for name in ("verify", "page-checksums", "libraries", "files", "proof-room"))
    assert re.match(r"1 of [12] files", checked["files"]["finding"])
    if cluster.programs.version >= 14 and (Path(cluster.programs.bin_dir) / "pg_amcheck").exists():
        assert "found no damage" in checked["page-checksums"]["finding"]
    assert report["reached"]["proven"] and report["rto_seconds"] > 0 and report["rpo_seconds"] > 0
    assert report["limits"] == {"nice": 1, "idle_io": False, "bytes_per_second": 100_000_000}
    assert list(drilled.into.iterdir()) == []
    things = drilled.things()
    for name in ("database-full", "database-incremental", "files"):
        assert (things[name]["last_proof"]["ok"], things[name]["last_proof"]["drill"]) == (True, report["run"])


def test_with_production_down_every_byte_stays_as_it_is(drilled: Drilled) -> None:
    cluster = drilled.cluster
    cluster.stop()
    places = (
        cluster.data_dir,
        cluster.root / "space",
        cluster.archive,
        cluster.backups,
        drilled.home / "snapshots",
        drilled.home / "media",
    )
    before = state_of(*places)
    planned = drilled.operator.ask("drill", "proof", "--plan", "--random", expect=0).document
    assert planned["target"]["kind"] in ("time", "immediate")
    report = drilled.operator.ask("drill", "proof", expect=0).document
    assert state_of(*places) == before
    assert report["rpo_seconds"] is None and "not known" in report["rpo_why"]
    assert list(drilled.into.iterdir()) == []


def test_what_is_not_as_it_should_be_fails_the_proof_and_is_critical_until_a_later_one_is_well(
    drilled: Drilled,
) -> None:
    drilled.asks(NICE, "SELECT count(*) = 500 FROM attachments")
    with drilled.cluster.connect() as connection:
        connection.execute("INSERT INTO attachments VALUES ('never-written.pdf', 7, NULL)")
    drilled.upload("late.pdf")  # after the newest snapshot: not its fault
    drilled.cluster.switch()
    report = drilled.operator.ask("drill", "proof", expect=1).document
    assert report["outcome"] == "failed" and report["answers"] == []
    assert "SELECT count(*) = 500" in report["error"]["cause"] and "never-written.pdf" in report["error"]["cause"]
    assert "1 came after the newest snapshot" in report["error"]["cause"]
    assert f"--backup {report['backup']}" in report["error"]["remedy"]
    assert list(drilled.into.iterdir()) == [] and not processes_below(drilled.into)
    written = (drilled.home / "state" / "runs" / report["run"] / "report.md").read_text()
    assert "not proven" in written and "never-written.pdf" in written
    things = drilled.things()
    for name, word in (("database-full", "count(*) = 500"), ("database-incremental", "count"), ("files", "never-")):
        assert things[name]["level"] == 2 and things[name]["last_proof"]["ok"] is False
        assert any(report["run"] in told and word in told for told in things[name]["findings"])
    drilled.asks(references="SELECT path FROM cards")
    lost = drilled.operator.ask("drill", "proof", expect=1).document
    assert "the files cannot be looked up" in lost["error"]["cause"] and "cards" in lost["error"]["cause"]
    assert list(drilled.into.iterdir()) == [] and not processes_below(drilled.into)
    drilled.asks("SELECT count(*) < 500 FROM attachments")
    drilled.cluster.sql("DELETE FROM attachments WHERE path = 'never-written.pdf'")
    drilled.cluster.switch()
    well = drilled.operator.ask("drill", "proof", expect=0).document
    assert well["rpo_seconds"] == 0.0  # all that was committed is archived
    assert well["estimate_seconds"]["runs"] >= 1  # by the drill that failed: its copy is gone, its times are not
    assert all(drilled.things()[name]["last_proof"]["ok"] for name in ("database-full", "files"))


@pytest.mark.slow
def test_a_killed_drill_is_taken_away_by_the_next_one_or_resumed_and_nothing_else_is_touched(drilled: Drilled) -> None:
    flagged = f"pg_stat_file('{drilled.flag}', true) IS NULL"
    drilled.asks(f"SELECT pg_sleep(CASE WHEN {flagged} THEN 60 ELSE 0 END) IS NOT NULL")
    beside = drilled.into / "archive-20200101T000000Z"
    beside.mkdir()
    (beside / ".reprise").write_text('{"run":"20200101T000000Z-archive"}')
    first = drilled.killed().document["run"]
    assert processes_below(drilled.into)
    found = next(run for run in drilled.operator.ask("runs").document["runs"] if run["run"] == first)
    assert (found["outcome"], found["pid"]) == ("interrupted", None)
    said = drilled.killed()
    second = said.document["run"]
    assert first in said.errors and len(list(drilled.into.iterdir())) == 2  # its own, and the stranger's
    resumed = drilled.operator.ask("resume", second, "--yes", expect=0).document
    assert resumed["outcome"] == "completed" and resumed["answers"] == []
    told = read_run(drilled.home / "state" / "runs" / second).told
    assert told is not None and told.ok and told.rto_seconds is None  # it was not done at a stretch
    outcomes = {run["run"]: run["outcome"] for run in drilled.operator.ask("runs").document["runs"]}
    assert (outcomes[first], outcomes[second]) == ("rolled-back", "completed")
    assert list(drilled.into.iterdir()) == [beside] and (beside / ".reprise").exists()
    assert not processes_below(drilled.into)
    shutil.rmtree(beside)
