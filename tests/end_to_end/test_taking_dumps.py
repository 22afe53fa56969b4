"""Dumps from the command line, on a real cluster."""

from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.postgres.connecting import Connection, connect
from tests.clusters import Cluster, wait_until
from tests.end_to_end.operator import Operator, operator_for


@pytest.fixture
def cluster(lent: Cluster) -> Cluster:
    return lent


@pytest.fixture
def operator(cluster: Cluster, open_dir: Path) -> Operator:
    """Works on a site with a place for dumps, and a database with a role of its own."""
    dumps = cluster.backups.with_name("dumps")
    operator = operator_for(cluster, open_dir)
    wal = f'wal = "{cluster.archive}"\n'
    operator.site.write_text(operator.site.read_text().replace(wal, f'{wal}dumps = "{dumps}"\n'))
    cluster.sql("CREATE ROLE clerk LOGIN PASSWORD 'geheim'")
    cluster.sql('CREATE DATABASE "pa per\'s" OWNER clerk')
    return operator


def dumps_of(operator: Operator) -> list[tuple[str, str, bool]]:
    found = operator.ask("catalog", expect=0).document["dumps"]
    return [(each["database"], each["format"], each["usable"]) for each in found]


@pytest.mark.parametrize("format", ["custom", "directory", "plain"])
def test_a_dump_is_listed_with_its_roles_and_a_cut_one_is_found_by_verify(operator: Operator, format: str) -> None:
    copy = operator.ask("backup", "dump", "--format", format, expect=0).document["copy"]
    assert (copy["kind"], copy["database"], copy["format"]) == ("dump", "pa per's", format)
    folder = Path(copy["path"])
    assert "CREATE ROLE clerk" in (folder / "globals.sql").read_text()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert dumps_of(operator) == [("pa per's", format, True)]
    assert operator.ask("verify", copy["id"], expect=0).document["results"][0]["ok"]
    contents = {"custom": "database.dump", "directory": "database/toc.dat", "plain": "database.sql"}[format]
    whole = (folder / contents).read_bytes()
    (folder / contents).write_bytes(whole[: len(whole) // 2])
    result = operator.ask("verify", copy["id"], expect=1).document["results"][0]
    assert (result["ok"], len(result["findings"])) == (False, 1)


def test_a_database_that_is_not_there_is_refused_with_those_that_are(operator: Operator) -> None:
    said = operator.ask("backup", "dump", "--database", "nonsense", expect=3).document
    assert "pa per's" in said["error"]["remedy"]
    assert dumps_of(operator) == []


def blocked_dump(operator: Operator, cluster: Cluster) -> tuple[dict[str, Any], Connection]:
    """A dump that waits for a table which somebody has locked: the run, and that somebody."""
    blocker = connect(
        host=str(cluster.socket_dir), port=cluster.port, user="postgres", dbname="pa per's", as_user=cluster.user
    )
    blocker.execute("CREATE TABLE cards (id int)")
    blocker.execute("BEGIN")
    blocker.execute("LOCK TABLE cards IN ACCESS EXCLUSIVE MODE")
    started = operator.ask("backup", "dump", "--detach", expect=0).document
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump' AND wait_event_type = 'Lock'"
    wait_until(lambda: cluster.value(waiting) == 1, "pg_dump does not wait for the lock")
    return started, blocker


def test_a_dump_that_fails_leaves_nothing_that_counts_and_says_why(operator: Operator, cluster: Cluster) -> None:
    started, blocker = blocked_dump(operator, cluster)
    cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_dump'")
    failed = operator.ask("attach", started["run"], expect=1).document
    assert failed["outcome"] == "failed" and "terminating connection" in failed["error"]["cause"]
    assert dumps_of(operator) == []
    assert operator.ask("rollback", failed["run"], "--yes", expect=0).document["outcome"] == "rolled-back"
    assert list(cluster.backups.with_name("dumps").iterdir()) == []
    blocker.close()


@pytest.mark.parametrize("act", ["resume", "rollback"])
def test_killed_in_the_middle_nothing_is_listed_and_no_program_of_it_stays(
    operator: Operator, cluster: Cluster, act: str
) -> None:
    started, blocker = blocked_dump(operator, cluster)
    operator.kill_engine(started["pid"])
    assert dumps_of(operator) == []
    if act == "rollback":
        operator.ask("rollback", started["run"], "--yes", expect=0)
        words = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
        assert not [each for each in words if any(str(cluster.backups.with_name("dumps")) in word for word in each)]
        assert list(cluster.backups.with_name("dumps").iterdir()) == []
    blocker.close()
    if act == "resume":
        assert operator.ask("resume", started["run"], "--yes", expect=0).document["outcome"] == "completed"
        assert dumps_of(operator) == [("pa per's", "custom", True)]
