"""The libraries that functions call (`libraries`): of the live cluster before, of the copy at the gate."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.postgres.libraries import library_dir
from tests.clusters import Cluster, make_cluster
from tests.end_to_end.checks.place import Checks, Place, make_place


@pytest.fixture(scope="module")
def production() -> Iterator[Cluster]:
    """A running cluster in whose second database a function calls a library of its own, ``mine``."""
    cluster = make_cluster("libraries")
    try:
        folder = library_dir(cluster.programs)
        assert folder is not None
        shutil.copy(folder / "amcheck.so", cluster.root / "mine.so")
        (cluster.root / "mine.so").chmod(0o755)
        cluster.sql("CREATE DATABASE second")
        with cluster.server.connect("second") as connection:
            connection.execute("CREATE EXTENSION amcheck")
            define = (
                f"CREATE FUNCTION mine(regclass) RETURNS void AS '{cluster.root}/mine', 'bt_index_check' LANGUAGE C"
            )
            connection.execute(define.encode())
        cluster.base_backup("one")
        cluster.sql("CREATE TABLE later AS SELECT 1")
        cluster.switch()
        yield cluster
    finally:
        cluster.destroy()


@pytest.fixture
def place(production: Cluster, open_dir: Path) -> Place:
    return make_place(production, open_dir)


@contextmanager
def without(library: Path) -> Iterator[None]:
    elsewhere = library.with_suffix(".away")
    library.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(library)


@contextmanager
def stopped(cluster: Cluster) -> Iterator[None]:
    cluster.stop()
    try:
        yield
    finally:
        cluster.start()


def test_a_library_that_a_function_of_the_live_cluster_calls_is_looked_up(place: Place) -> None:
    library = place.original.root / "mine.so"
    quiet = place.plan("--latest")
    quiet.says("libraries", "refuse", True, "no library is preloaded", "that production's functions call found")
    with without(library):
        for words in ((), ("--in-place",)):
            checks = place.plan("--latest", *words)
            checks.says("libraries", "refuse", False, f"{library.with_suffix('')} (function mine in second)")
            assert checks.refusing == {"libraries"}


def test_where_production_does_not_answer_the_copy_is_asked_before_production_is_touched(place: Place) -> None:
    library = place.original.root / "mine.so"
    before = place.original.data_dir.stat().st_ino
    with stopped(place.original):
        with without(library):
            place.plan("--latest", "--in-place").says("libraries", "refuse", True, "looked up in the copy at the gate")
            said = place.operator.ask("restore", "--latest", "--in-place", "--yes", expect=1).document
        assert "libraries" in said["error"]["message"] and "mine" in said["error"]["cause"]
        assert "--accept-checks" in said["error"]["remedy"]
        outcomes = {step["name"]: step["outcome"] for step in said["steps"]}
        assert (outcomes["inspect"], outcomes["salvage"], outcomes["set-aside"]) == ("failed", "to do", "to do")
        assert place.original.data_dir.stat().st_ino == before
        place.operator.ask("rollback", said["run"], "--yes", expect=0)


def test_a_missing_library_can_be_installed_or_gone_without(place: Place) -> None:
    library = place.original.root / "mine.so"
    with stopped(place.original):
        with without(library):
            first = place.operator.ask("restore", "--latest", *place.into, "--yes", expect=1).document
            other = ("--into", str(place.home / "other"))
            second = place.operator.ask("restore", "--latest", *other, "--yes", expect=1).document
            accepted = place.operator.ask("resume", second["run"], "--accept-checks", "--yes", expect=0).document
            assert accepted["outcome"] == "completed"
            assert Checks(accepted)["libraries"]["ok"] is False
        mended = Checks(place.operator.ask("resume", first["run"], "--yes", expect=0).document)
        mended.says("libraries", "refuse", True, "libraries that functions of 3 databases call found")
