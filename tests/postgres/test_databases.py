"""Databases of a live server, made and renamed."""

import pytest

from engine.postgres.connecting import connect
from engine.postgres.databases import database_exists, rename_database
from engine.records.errors import RepriseError
from tests.clusters import Cluster


def test_a_database_that_cannot_be_renamed_takes_connections_again(cluster: Cluster) -> None:
    cluster.sql("CREATE DATABASE paper")
    with connect(
        host=str(cluster.socket_dir), port=cluster.port, user="postgres", dbname="paper", as_user=cluster.user
    ) as inside:
        inside.execute("BEGIN; CREATE TABLE cards (); PREPARE TRANSACTION 'left behind'")
    with cluster.connect() as connection:
        with pytest.raises(RepriseError, match="cannot be renamed"):
            rename_database(connection, "paper", "paper-before")
        assert database_exists(connection, "paper")
    assert cluster.sql("SELECT datallowconn FROM pg_database WHERE datname = 'paper'") == [(True,)]
