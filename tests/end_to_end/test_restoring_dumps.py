"""The full way: a dump restored in its database's place, beside it, and taken back, on a real cluster."""

import shutil
from pathlib import Path

import pytest

from engine.postgres.connecting import connect
from engine.run.folder import find_run, read_run
from tests.clusters import Cluster, own
from tests.end_to_end.operator import Operator, operator_for

NAME = "pa per's=\\ é"  # to pg_restore half a connection string, if it is not quoted


@pytest.fixture
def cluster(lent: Cluster) -> Cluster:
    return lent


@pytest.fixture(scope="module")
def kept_dump(shared_cluster: Cluster) -> Path:
    """A dump of the database as every test finds it, taken once and kept apart."""
    home = shared_cluster.root / "kept"
    home.mkdir()
    own(home, shared_cluster.user)
    moved_in(shared_cluster)
    copy = operator_of(shared_cluster, home).call("backup", "dump", expect=0).document["copy"]
    shared_cluster.sql(f'DROP DATABASE "{NAME}"')
    shared_cluster.sql("DROP ROLE clerk")
    return Path(copy["path"]).rename(home / copy["id"])


@pytest.fixture
def operator(kept_dump: Path, cluster: Cluster, open_dir: Path) -> Operator:
    """A database with rows of a role of its own, and a site with a place for dumps."""
    moved_in(cluster)
    return operator_of(cluster, open_dir)


@pytest.fixture
def dump(operator: Operator, kept_dump: Path) -> Path:
    """The kept dump, in the site's own place."""
    into = operator.cluster.backups.with_name("dumps") / kept_dump.name
    shutil.copytree(kept_dump, into)
    own(into, operator.cluster.user)
    return into


def moved_in(cluster: Cluster) -> None:
    cluster.sql("CREATE ROLE clerk LOGIN PASSWORD 'geheim'")
    cluster.sql(f"CREATE DATABASE \"{NAME}\" OWNER clerk ENCODING 'UTF8' LC_COLLATE 'C' TEMPLATE template0")
    ask(cluster, "CREATE TABLE cards AS SELECT generate_series(1, 1000) AS id")
    ask(cluster, "ALTER TABLE cards OWNER TO clerk")
    ask(cluster, "CREATE INDEX ON cards (id)")


def operator_of(cluster: Cluster, home: Path) -> Operator:
    operator = operator_for(cluster, home)
    wal, dumps = f'wal = "{cluster.archive}"\n', cluster.backups.with_name("dumps")
    operator.site.write_text(operator.site.read_text().replace(wal, f'{wal}dumps = "{dumps}"\n'))
    return operator


def ask(cluster: Cluster, query: str, database: str = NAME) -> list[tuple[object, ...]]:
    with connect(
        host=str(cluster.socket_dir), port=cluster.port, user="postgres", dbname=database, as_user=cluster.user
    ) as connection:
        cursor = connection.execute(query)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []


def databases(cluster: Cluster) -> list[str]:
    return [
        str(name) for (name,) in cluster.sql("SELECT datname FROM pg_database WHERE datname LIKE 'pa per%' ORDER BY 1")
    ]


@pytest.mark.parametrize("format", ["custom", "directory", "plain"])
def test_a_dump_takes_its_databases_place_and_the_old_one_comes_back_on_request(
    operator: Operator, cluster: Cluster, format: str
) -> None:
    dump = operator.call("backup", "dump", "--format", format, expect=0).document["copy"]["id"]
    ask(cluster, "DELETE FROM cards WHERE id > 10")
    planned = operator.ask("plan", "--dump", dump, "--in-place", expect=0).document
    assert planned["target"] == {**planned["target"], "kind": "dump", "name": dump}
    blocker = connect(
        host=str(cluster.socket_dir), port=cluster.port, user="postgres", dbname=NAME, as_user=cluster.user
    )
    done = operator.call("restore", "--dump", dump, "--in-place", "--yes", expect=0).document
    blocker.close()
    assert ask(cluster, "SELECT count(*) FROM cards") == [(1000,)]
    assert ask(cluster, "SELECT tableowner FROM pg_tables WHERE tablename = 'cards'") == [("clerk",)]
    collate = "SELECT datcollate FROM pg_database WHERE datname = current_database()"
    assert ask(cluster, collate) == [("C",)]
    assert len(databases(cluster)) == 2
    operator.call("rollback", done["run"], "--yes", expect=0)
    assert ask(cluster, "SELECT count(*) FROM cards") == [(10,)]
    operator.call("discard", done["run"], "--yes", expect=0)
    assert databases(cluster) == [NAME]


def test_missing_roles_are_made_with_their_passwords_and_present_ones_stay(
    operator: Operator, cluster: Cluster
) -> None:
    dump = operator.call("backup", "dump", expect=0).document["copy"]["id"]
    secret = "SELECT rolname::text, rolpassword FROM pg_authid WHERE rolname IN ('clerk', 'postgres') ORDER BY 1"
    before = dict(cluster.sql(secret))
    cluster.sql(f'DROP DATABASE "{NAME}"')
    cluster.sql("DROP ROLE clerk")
    cluster.sql("ALTER ROLE postgres PASSWORD 'new'")
    present = dict(cluster.sql(secret))["postgres"]
    done = operator.call("restore", "--dump", dump, "--in-place", "--yes", expect=0).document
    after = dict(cluster.sql(secret))
    assert after == {"clerk": before["clerk"], "postgres": present}
    assert any("postgres" in note["text"] for note in done["notes"])
    assert ask(cluster, "SELECT count(*) FROM cards") == [(1000,)]
    folder = find_run(operator.home / "state", done["run"])
    for path in folder.iterdir():
        if path.is_file():
            assert str(before["clerk"]).encode() not in path.read_bytes(), path.name


def test_beside_the_others_it_gets_its_own_name_and_nothing_steps_aside(
    operator: Operator, cluster: Cluster, dump: Path
) -> None:
    operator.call("restore", "--dump", dump.name, "--as", "pa per two", "--yes", expect=0)
    assert set(databases(cluster)) == {NAME, "pa per two"}
    assert ask(cluster, "SELECT count(*) FROM cards", "pa per two") == [(1000,)]
    refused = operator.call("restore", "--dump", dump.name, "--as", "pa per two", "--yes", expect=3).document
    assert "already" in refused["error"]["message"]
    assert operator.call("restore", "--dump", dump.name, "--into", operator.copy_to(), "--yes").code == 2


@pytest.mark.parametrize("step", ["roles", "load", "swap-database"])
@pytest.mark.parametrize("act", ["resume", "rollback"])
def test_killed_in_any_step_it_goes_on_or_all_is_as_before(
    operator: Operator, cluster: Cluster, dump: Path, step: str, act: str
) -> None:
    ask(cluster, "DELETE FROM cards WHERE id > 10")
    started = operator.call("restore", "--dump", dump.name, "--in-place", "--detach", "--yes", expect=0).document
    folder = find_run(operator.home / "state", started["run"])
    while not any(each.name == step and each.outcome != "to do" for each in read_run(folder).steps):
        pass
    operator.kill_engine(started["pid"])
    if read_run(folder).outcome == "completed":
        pytest.skip("the run was over before it was killed")
    operator.call(act, started["run"], "--yes", expect=0)
    assert ask(cluster, "SELECT count(*) FROM cards") == [(1000 if act == "resume" else 10,)]
    if act == "rollback" and step != "swap-database":
        assert databases(cluster) == [NAME]


def test_a_damaged_dump_fails_before_the_present_database_is_touched(
    operator: Operator, cluster: Cluster, dump: Path
) -> None:
    contents = dump / "database.dump"
    whole = contents.read_bytes()
    contents.write_bytes(whole[: len(whole) - len(whole) // 3])
    failed = operator.call("restore", "--dump", dump.name, "--in-place", "--yes", expect=1).document
    assert ask(cluster, "SELECT count(*) FROM cards") == [(1000,)]
    operator.call("rollback", failed["run"], "--yes", expect=0)
    assert databases(cluster) == [NAME]
