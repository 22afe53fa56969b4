"""A server: started, watched, killed, stopped."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from msgspec.structs import replace

from engine.postgres import processes
from engine.postgres.server import Server, check_socket_path, connect_site, in_recovery, replay_lsn
from engine.records.errors import RepriseError, Unreachable
from engine.site import Database, DatabaseRepository
from engine.system.users import is_root
from tests.clusters import Cluster, make_cluster, wait_until

NewCluster = Callable[..., Cluster]


@pytest.fixture(scope="module")
def stopped() -> Iterator[Cluster]:
    cluster = make_cluster("server")
    cluster.stop()
    yield cluster
    cluster.destroy()


@pytest.fixture
def server(stopped: Cluster) -> Iterator[Server]:
    yield stopped.server
    stopped.server.stop("immediate")


def test_a_server_starts_answers_and_stops_without_a_trace(server: Server) -> None:
    assert server.pid() is None
    assert not server.is_accepting()
    pid = server.start()
    server.wait_accepting()
    assert server.pid() == pid
    assert pid in server.processes()
    assert server.control().state == "in production"
    with server.connect() as connection:
        assert not in_recovery(connection)
        assert replay_lsn(connection) is None
    assert server.stop()
    assert server.processes() == []
    assert server.control().state == "shut down"
    assert not server.stop()


def test_settings_on_the_command_line_win(server: Server) -> None:
    server.start({"archive_mode": "off", "cluster_name": "it's a copy"})
    server.wait_accepting()
    with server.connect() as connection:
        assert connection.execute("SHOW archive_mode").fetchone() == ("off",)
        assert connection.execute("SHOW cluster_name").fetchone() == ("it's a copy",)


def test_a_setting_that_postgresql_refuses_is_told_in_its_own_words(server: Server) -> None:
    with pytest.raises(RepriseError) as failure:
        server.start({"max_connections": "many"})
    assert failure.value.cause is not None
    assert 'invalid value for parameter "max_connections": "many"' in failure.value.cause


def test_a_second_start_is_refused(server: Server) -> None:
    pid = server.start()
    with pytest.raises(RepriseError, match=str(pid)):
        server.start()


def test_a_killed_server_is_recognised_and_starts_again(server: Server) -> None:
    pid = server.start()
    server.wait_accepting()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not server.processes(), "the killed server's children did not end")
    left = processes.read_postmaster_file(server.data_dir)
    assert left is not None and left.pid == pid
    assert server.pid() is None
    server.start()
    server.wait_accepting()


def test_a_pid_that_became_another_process_is_not_taken_for_the_server(server: Server) -> None:
    server.start()
    server.wait_accepting()
    own_file = server.data_dir / "postmaster.pid"
    own_lines = own_file.read_text().splitlines()
    server.stop()
    own_file.write_text("\n".join([str(os.getpid()), *own_lines[1:]]) + "\n")
    assert server.pid() is None
    assert not server.stop()
    server.start()
    server.wait_accepting()


def test_another_clusters_server_is_not_taken_for_ours(server: Server, new_cluster: NewCluster) -> None:
    other = new_cluster()
    pid = other.server.pid()
    (server.data_dir / "postmaster.pid").write_text(f"{pid}\n{server.data_dir}\n")
    assert server.pid() is None
    (server.data_dir / "postmaster.pid").unlink()


def test_a_data_directory_renamed_under_its_server_is_still_recognised(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    pid = cluster.server.pid()
    moved = cluster.data_dir.with_name("data-moved")
    cluster.data_dir.rename(moved)
    server = replace(cluster.server, data_dir=moved)
    assert server.pid() == pid
    moved.rename(cluster.data_dir)


def test_the_server_outlives_a_killed_caller(server: Server) -> None:
    program = (
        "import os, pickle, signal, sys\n"
        "server = pickle.load(sys.stdin.buffer)\n"
        "server.start()\n"
        "os.killpg(os.getpgid(0), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps(server), start_new_session=True, cwd=Path(__file__).parents[2], check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    server.wait_accepting()
    pid = server.pid()
    assert pid is not None
    assert os.getsid(pid) not in (os.getsid(0), os.getpid())


def test_a_start_while_the_server_waits_for_wal_shows_what_it_waits_for(
    stopped: Cluster, new_cluster: NewCluster
) -> None:
    cluster = new_cluster()
    cluster.base_backup("b")
    cluster.stop()
    copy = cluster.root / "data-copy"
    cluster.backups.joinpath("b").rename(copy)
    (copy / "standby.signal").touch()
    server = replace(cluster.server, data_dir=copy)
    server.start({"restore_command": "false", "archive_mode": "off"})
    wait_until(lambda: "waiting for" in (server.startup_title() or ""), "the startup process did not wait")
    assert not server.is_accepting()
    server.stop("immediate")


def test_no_server_is_unreachable_with_the_place_that_was_tried(server: Server) -> None:
    with pytest.raises(Unreachable, match=rf"\.s\.PGSQL\.{server.port}"):
        server.connect()


def test_a_socket_path_that_is_too_long_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(RepriseError, match="too long"):
        check_socket_path(tmp_path / ("x" * 107), 5432)


def test_peer_authentication_works_and_the_thread_is_itself_again(server: Server, stopped: Cluster) -> None:
    server.start()
    server.wait_accepting()
    before = os.getresuid()
    with server.connect() as connection:
        assert os.getresuid() == before
        assert connection.execute("SELECT system_user" if stopped.programs.version >= 16 else "SELECT 1").fetchone()
        assert connection.execute("SHOW statement_timeout").fetchone() == ("30s",)
        assert connection.execute("SHOW application_name").fetchone() == ("reprise",)
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SET statement_timeout = '50ms'").execute("SELECT pg_sleep(60)")
    if is_root():
        with pytest.raises(Unreachable):  # the map lets the cluster's user in, root not
            replace(server, user=replace(server.user, uid=0)).connect()
        assert os.getresuid() == before


def test_the_sites_own_database_is_connected_to(server: Server) -> None:
    server.start()
    server.wait_accepting()
    repository = DatabaseRepository(kind="directory", base_backups="/b", wal="/w")
    database = Database(str(server.data_dir), [repository], host=str(server.socket_dir), port=server.port)
    with connect_site(database, server.user) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("postgres",)
