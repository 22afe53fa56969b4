"""Pages that do not match their checksums (`page-checksums`): found at the gate, before production is stopped; what
replay has mended is told apart; and the reading can be left out."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters import Cluster, make_cluster
from tests.end_to_end.checks.place import Checks, Place, make_place
from tests.end_to_end.middle import start_run

PAGE = 8192


@pytest.fixture(scope="module")
def production() -> Iterator[Cluster]:
    """A running cluster whose table ``orders`` has many pages, one of which is written again after the backup."""
    cluster = make_cluster("damaged")
    try:
        cluster.sql("CREATE TABLE orders (id int PRIMARY KEY, note text)")
        cluster.sql("INSERT INTO orders SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, 500) i")
        cluster.sql("VACUUM FREEZE orders")
        cluster.base_backup("one", extra=("--no-manifest",))
        cluster.sql("UPDATE orders SET note = 'written again' WHERE id = 1")
        cluster.sql("CREATE TABLE later AS SELECT 1")
        cluster.switch()
        yield cluster
    finally:
        cluster.destroy()


@pytest.fixture
def place(production: Cluster, open_dir: Path) -> Place:
    return make_place(production, open_dir)


def spoil(place: Place, block: int) -> str:
    """A byte of a page of the backup's ``orders`` is not what it was; without a manifest no copying pass sees it."""
    file = str(place.original.value("SELECT pg_relation_filepath('orders')"))
    path = place.backup("one") / file
    content = bytearray(path.read_bytes())
    content[block * PAGE + 5000] ^= 0x20
    owner = path.stat()
    path.unlink()  # a link to the original
    path.write_bytes(content)
    os.chown(path, owner.st_uid, owner.st_gid)
    path.chmod(0o600)
    return file


def test_a_whole_cluster_is_read_page_by_page_and_said_so(place: Place) -> None:
    place.plan("--latest").says("page-checksums", "info", None, "every page of the copy is read at the gate")
    checks = place.restore("--latest", *place.into)
    checks.says("page-checksums", "warn", True, " pages, ", "every checksum right")
    step = next(step for step in checks.document["steps"] if step["name"] == "inspect")
    assert step["outcome"] == "done" and step["bytes"] > 20 << 20


def test_a_damaged_page_is_seen_at_the_gate_and_named_with_its_table(place: Place) -> None:
    file = spoil(place, 5)
    pid = place.original.server.pid()
    waiting = place.operator.ask("restore", "--latest", "--in-place", "--action", "pause", "--yes", expect=4).document
    assert place.original.server.pid() == pid
    Checks(waiting).says("page-checksums", "warn", None, f"1 do not match their checksum: {file} block 5")
    place.operator.ask("cancel", waiting["run"], "--yes")
    place.operator.ask("rollback", waiting["run"], "--yes", expect=0)
    checks = place.restore("--latest", *place.into)
    checks.says("page-checksums", "warn", False, f"{file} block 5", "they belong to orders in postgres")


def test_a_page_that_replay_mends_is_no_damage(place: Place) -> None:
    spoil(place, 0)  # its first change after the backup wrote the whole of it into the WAL
    run = start_run(place.operator, "--latest", *place.into)
    run.wait_for_end("completed")
    told = [check for check in run.state.checks if check.name == "page-checksums"]
    assert [check.ok for check in told] == [None, True], told  # at the gate it is mended in memory only
    assert "every checksum right" in told[-1].finding


def test_the_reading_is_left_out_where_the_operator_or_the_site_file_says_so(place: Place) -> None:
    spoil(place, 5)
    skipping: list[dict[str, object]] = []
    run = start_run(
        place.operator,
        "--latest",
        *place.into,
        meanwhile=lambda: skipping.append(place.operator.ask("skip", "latest", "--yes", expect=0).document),
    )
    state = run.wait_for_end("completed")
    told = [check for check in state.checks if check.name == "page-checksums"]
    assert told[-1].ok is None and "skipped" in told[-1].finding
    said = place.operator.ask("skip", "latest", "--yes", expect=2)
    assert "has nothing to skip now" in said.errors
    place.operator.site.write_text(place.operator.site.read_text() + "[verify]\npages = false\n")
    place.plan("--latest", "--into", str(place.home / "other")).says("page-checksums", "info", None, "not every page")
    unread = place.restore("--latest", "--into", str(place.home / "other"))
    unread.says("page-checksums", "warn", None, "pages were not read")


def test_a_cluster_without_checksums_is_told(open_dir: Path) -> None:
    cluster = make_cluster("plain")
    try:
        cluster.stop()
        cluster.run("pg_checksums", "--disable", "-D", cluster.data_dir)
        cluster.start()
        cluster.base_backup("one")
        cluster.sql("CREATE TABLE later AS SELECT 1")
        cluster.switch()
        place = make_place(cluster, open_dir)
        place.plan("--latest").says("page-checksums", "warn", False, "no page checksums")
        place.restore("--latest", *place.into).says("page-checksums", "warn", None, "no data checksums")
    finally:
        cluster.destroy()
