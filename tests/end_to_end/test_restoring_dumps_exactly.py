"""A restored dump is the database that was dumped, with all that belongs to it, and nothing else is touched."""

from pathlib import Path

import pytest

from engine.postgres.connecting import connect
from tests.clusters import Cluster, own
from tests.end_to_end.operator import Operator, operator_for

NAME = "pa per's=\\"  # to pg_restore half a connection string, if it is not quoted


@pytest.fixture
def operator(cluster: Cluster, open_dir: Path) -> Operator:
    """A database that is described in every way that a dump knows, and a site with a place for dumps."""
    dumps = cluster.backups.with_name("dumps")
    dumps.mkdir()
    own(dumps, cluster.user)
    operator = operator_for(cluster, open_dir)
    wal = f'wal = "{cluster.archive}"\n'
    operator.site.write_text(operator.site.read_text().replace(wal, f'{wal}dumps = "{dumps}"\n'))
    for statement in (
        "CREATE ROLE clerk LOGIN",
        "CREATE ROLE boss",
        "CREATE ROLE guest LOGIN",
        f"CREATE DATABASE \"{NAME}\" OWNER clerk ENCODING 'LATIN1' TEMPLATE template0 CONNECTION LIMIT 17",
        f"ALTER DATABASE \"{NAME}\" SET work_mem TO '7MB'",
        f'ALTER DATABASE "{NAME}" SET search_path TO "a b", public',
        f"ALTER ROLE clerk IN DATABASE \"{NAME}\" SET statement_timeout TO '1h'",
        f"COMMENT ON DATABASE \"{NAME}\" IS 'café;\n\\connect postgres'",
        f'REVOKE ALL ON DATABASE "{NAME}" FROM PUBLIC',
        f'GRANT CONNECT ON DATABASE "{NAME}" TO boss WITH GRANT OPTION',
        f'SET ROLE boss; GRANT CONNECT ON DATABASE "{NAME}" TO clerk',
    ):
        cluster.sql(statement)
    ask(cluster, "CREATE TABLE public.cards (line text)")
    ask(cluster, r"INSERT INTO public.cards VALUES ('\connect postgres'), (NULL), ('\.'), (E'\n\\c postgres')")
    ask(cluster, "CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $$ SELECT '\n\\connect postgres\n' $$")
    return operator


def ask(cluster: Cluster, query: str, database: str = NAME) -> list[tuple[object, ...]]:
    with connect(
        host=str(cluster.socket_dir), port=cluster.port, user="postgres", dbname=database, as_user=cluster.user
    ) as connection:
        cursor = connection.execute(query)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []


def described(cluster: Cluster, name: str) -> list[tuple[object, ...]]:
    """All that PostgreSQL knows of a database itself."""
    own = cluster.sql(
        "SELECT pg_get_userbyid(datdba)::text, datacl::text, datconnlimit, datallowconn, datistemplate, datcollate,"
        " pg_encoding_to_char(encoding)::text, shobj_description(oid, 'pg_database') FROM pg_database"
        " WHERE datname = %s",
        name,
    )
    settings = cluster.sql(
        "SELECT setrole::regrole::text, setconfig::text FROM pg_db_role_setting JOIN pg_database ON setdatabase = oid"
        f" WHERE datname = '{name.replace(chr(39), chr(39) * 2)}' ORDER BY 1",
    )
    return own + settings


def databases(cluster: Cluster) -> set[str]:
    return {str(name) for (name,) in cluster.sql("SELECT datname::text FROM pg_database")} - {
        "postgres",
        "template0",
        "template1",
    }


def roles(cluster: Cluster) -> set[str]:
    return {str(name) for (name,) in cluster.sql("SELECT rolname::text FROM pg_roles WHERE rolname !~ '^pg_'")}


@pytest.mark.parametrize("format", ["custom", "directory", "plain"])
def test_owner_privileges_settings_and_data_are_the_originals_and_the_live_one_is_not_touched(
    operator: Operator, cluster: Cluster, format: str
) -> None:
    before, rows = described(cluster, NAME), ask(cluster, "SELECT line FROM public.cards")
    assert len(before) == 3
    dump = operator.call("backup", "dump", "--database", NAME, "--format", format, expect=0).document["copy"]["id"]
    ask(cluster, "DROP FUNCTION public.f")
    ask(cluster, "DELETE FROM public.cards WHERE line IS NULL")
    operator.call("restore", "--dump", dump, "--in-place", "--yes", expect=0)
    assert described(cluster, NAME) == before
    assert ask(cluster, "SELECT line FROM public.cards") == rows
    assert ask(cluster, "SELECT public.f()") == [("\n\\connect postgres\n",)]
    (aside,) = databases(cluster) - {NAME}
    assert len(ask(cluster, "SELECT line FROM public.cards", aside)) == len(rows) - 1
    assert ask(cluster, "SELECT count(*) FROM pg_tables WHERE tablename = 'cards'", "postgres") == [(0,)]


def test_a_plain_dump_that_is_cut_off_is_not_loaded_as_if_it_were_whole(operator: Operator, cluster: Cluster) -> None:
    copy = operator.call("backup", "dump", "--database", NAME, "--format", "plain", expect=0).document["copy"]
    contents = Path(copy["path"]) / "database.sql"
    contents.write_bytes(contents.read_bytes().partition(b"-- Name: cards;")[0])
    failed = operator.call("restore", "--dump", copy["id"], "--in-place", "--yes", expect=1).document
    assert "cut off" in failed["error"]["message"]
    operator.call("rollback", failed["run"], "--yes", expect=0)
    assert databases(cluster) == {NAME}


def test_settings_that_this_server_does_not_know_are_left_out_and_told(operator: Operator, cluster: Cluster) -> None:
    copy = operator.call("backup", "dump", "--database", NAME, "--format", "plain", expect=0).document["copy"]
    contents, roles_file = Path(copy["path"]) / "database.sql", Path(copy["path"]) / "globals.sql"
    script = contents.read_bytes()
    known = b"SET client_min_messages = warning;\n"
    assert script.count(known) > 0 and script.count(b" SET work_mem TO '7MB';\n") == 1
    script = script.replace(known, known + b"SET timeout_of_2035 = 0;\n")
    script = script.replace(b" SET work_mem TO '7MB';\n", b" SET memory_of_2035 TO '7MB';\n")
    joined = b"INSERT INTO public.cards VALUES (E'joined: '\n  -- a remark\n  '\\'; \\\\c postgres');\n"
    head, closing = script.split(b"--\n-- PostgreSQL database dump complete")
    contents.write_bytes(head + joined + b"--\n-- PostgreSQL database dump complete" + closing)
    with roles_file.open("a") as file:
        file.write("CREATE ROLE later;\nALTER ROLE later SET style_of_2035 TO 'on';\n")
    done = operator.call("restore", "--dump", copy["id"], "--as", "two", "--yes", expect=0).document
    notes = str(operator.call("report", done["run"], expect=0).document)
    for name in ("timeout_of_2035", "memory_of_2035", "style_of_2035"):
        assert name in notes
    assert described(cluster, "two")[1:] != described(cluster, NAME)[1:]
    assert "later" in roles(cluster)
    lines = {line for (line,) in ask(cluster, "SELECT line FROM public.cards", "two")}
    assert lines == {line for (line,) in ask(cluster, "SELECT line FROM public.cards")} | {"joined: '; \\c postgres"}


def test_a_discard_leaves_the_roles_and_the_database_of_a_completed_run(operator: Operator, cluster: Cluster) -> None:
    dump = operator.call("backup", "dump", "--database", NAME, expect=0).document["copy"]["id"]
    cluster.sql("DROP ROLE guest")
    run = operator.call("restore", "--dump", dump, "--in-place", "--yes", expect=0).document["run"]
    operator.call("discard", run, "--yes", expect=0)
    assert "guest" in roles(cluster)
    assert databases(cluster) == {NAME}
    cluster.sql("DROP ROLE guest")
    run = operator.call("restore", "--dump", dump, "--as", "two", "--yes", expect=0).document["run"]
    operator.call("discard", run, "--yes", expect=0)
    assert "guest" in roles(cluster)
    assert databases(cluster) == {NAME, "two"}


def test_a_rollback_takes_roles_back_only_where_the_run_was_not_completed(operator: Operator, cluster: Cluster) -> None:
    copy = operator.call("backup", "dump", "--database", NAME, expect=0).document["copy"]
    cluster.sql("DROP ROLE guest")
    run = operator.call("restore", "--dump", copy["id"], "--as", "two", "--yes", expect=0).document["run"]
    operator.call("rollback", run, "--yes", expect=0)
    assert "guest" in roles(cluster)
    assert databases(cluster) == {NAME}
    cluster.sql("DROP ROLE guest")
    _damage(Path(copy["path"]) / "database.dump")
    run = operator.call("restore", "--dump", copy["id"], "--as", "two", "--yes", expect=1).document["run"]
    assert "guest" in roles(cluster)
    operator.call("rollback", run, "--yes", expect=0)
    assert "guest" not in roles(cluster)
    assert databases(cluster) == {NAME}


def test_a_database_that_somebody_else_has_made_under_the_fresh_name_is_never_dropped(
    operator: Operator, cluster: Cluster
) -> None:
    copy = operator.call("backup", "dump", "--database", NAME, expect=0).document["copy"]
    _damage(Path(copy["path"]) / "database.dump")
    run = operator.call("restore", "--dump", copy["id"], "--as", "two", "--yes", expect=1).document["run"]
    cluster.sql("DROP DATABASE two")
    cluster.sql("CREATE DATABASE two")
    ask(cluster, "CREATE TABLE theirs ()", "two")
    refused = operator.call("resume", run, "--yes", expect=1).document
    assert "already" in refused["error"]["message"]
    operator.call("rollback", run, "--yes", expect=0)
    assert ask(cluster, "SELECT count(*) FROM theirs", "two") == [(0,)]
    assert databases(cluster) == {NAME, "two"}


def _damage(contents: Path) -> None:
    whole = contents.read_bytes()
    contents.write_bytes(whole[:-20])  # of a table's data: the table of contents is whole
