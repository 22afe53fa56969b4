"""The checks of a plan met by the real thing: a real cluster's copies, damaged; a real machine, spoilt. Each goes
through the command line; what only the recovered server can tell is read from the report of a real restore."""

import io
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from engine.cli import main as command_line
from engine.postgres.programs import find_programs
from engine.records.lsn import LONG_PAGE_HEADER, SegmentName, format_lsn, parse_lsn
from engine.run.locks import folder_lock, site_lock, take_lock
from tests.clusters import Cluster, make_cluster, own
from tests.end_to_end.operator import Operator, operator_for
from tests.histories import History

LATEST = ("--latest", "--timeline", "1")
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can do this to a machine")

# What a plan for copies without a fault may still warn of: production's own, newest segment is not archived.
# And a build without ICU (the embedded one) cannot say beforehand that no database needs it.
EXPECTED_WARNINGS = {"unarchived-tail", "build-features"}


class Checks(dict[str, dict[str, Any]]):
    """A plan's or report's checks by name; the last of a name counts (the report's own come behind the plan's)."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__({check["name"]: check for check in document["checks"]})
        self.document = document

    @property
    def refusing(self) -> set[str]:
        return {name for name, check in self.items() if check["level"] == "refuse" and check["ok"] is not True}

    @property
    def warning(self) -> set[str]:
        return {name for name, check in self.items() if check["level"] == "warn" and check["ok"] is not True}

    def says(self, name: str, level: str, ok: bool | None, *words: str) -> None:
        check = self[name]
        assert (check["level"], check["ok"]) == (level, ok), check
        assert all(word in check["finding"] for word in words), check
        if level == "refuse" and ok is not True:
            assert name in self.refusing and self.document["outcome"] == "refused"
            assert check["remedy"], check


@dataclass
class Place:
    """A copy of a cluster's archive and backups that a test may damage, and a site file for it. Files are links: what
    is changed must be made anew (``rewrite``)."""

    operator: Operator
    original: Cluster

    @property
    def home(self) -> Path:
        return self.operator.home

    @property
    def archive(self) -> Path:
        return self.operator.cluster.archive

    @property
    def into(self) -> tuple[str, str]:
        return "--into", str(self.home / "copy")

    def backup(self, name: str) -> Path:
        """A base backup of this place's own."""
        folder = self.operator.cluster.backups / name
        if folder.is_symlink():
            original = folder.resolve()
            folder.unlink()
            shutil.copytree(original, folder, symlinks=True, copy_function=os.link)
        return folder

    def keep_only(self, *names: str) -> None:
        for folder in self.operator.cluster.backups.iterdir():
            if folder.name not in names:
                folder.unlink()

    def site(self, **database: str) -> None:
        """Change keys of the site file's [database]."""
        text = self.operator.site.read_text()
        for key, value in database.items():
            text, number = re.subn(rf"(?m)^{key} = .*$", f'{key} = "{value}"', text)
            if not number:
                text = text.replace("[database]\n", f'[database]\n{key} = "{value}"\n')
        self.operator.site.write_text(text)

    def plan(self, *words: str) -> Checks:
        """`plan` in this process; a side copy unless the words say where. Nothing may be made by it."""
        if not {"--into", "--in-place"} & set(words):
            words = (*words, *self.into)
        said, was = io.TextIOWrapper(io.BytesIO()), sorted(self.home.iterdir())
        state = self.home / "state"
        arguments = ["--site", str(self.operator.site), "--state", str(state), "--json", "plan", *words]
        with redirect_stdout(said):
            code = command_line(arguments, open_screen=lambda *_, **__: 0)
        assert isinstance(said.buffer, io.BytesIO)
        document = json.loads(said.buffer.getvalue())
        assert code == {"planned": 0, "refused": 3}[document["outcome"]], document
        assert sorted(self.home.iterdir()) == sorted({*was, state})
        return Checks(document)

    def restore(self, *words: str) -> Checks:
        """`restore` that completes, in processes of its own."""
        return Checks(self.operator.call("restore", *words, "--yes", expect=0).document)


def make_place(cluster: Cluster, home: Path, data_dir: Path | None = None) -> Place:
    place = replace(cluster, root=home / "site", server=replace(cluster.server, data_dir=data_dir or cluster.data_dir))
    place.backups.mkdir(parents=True)
    shutil.copytree(cluster.archive, place.archive, copy_function=os.link)
    for backup in cluster.backups.iterdir():
        (place.backups / backup.name).symlink_to(backup)
    made = Place(operator_for(place, home), cluster)
    made.site(host=str(cluster.socket_dir))
    return made


@pytest.fixture
def place(history: History, open_dir: Path) -> Place:
    return make_place(history.cluster, open_dir)


def rewrite(file: Path, change: Callable[[bytes], bytes]) -> None:
    """New content in a file of its own: the original, to which it was linked, stays as it is."""
    content, stat = change(file.read_bytes()), file.stat()
    file.unlink()
    file.write_bytes(content)
    os.chown(file, stat.st_uid, stat.st_gid)
    file.chmod(stat.st_mode)


def add(file: Path, *lines: str) -> None:
    rewrite(file, lambda content: content + "".join(f"{line}\n" for line in lines).encode())


@contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=False).returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


# Where all is well


def test_nothing_is_refused_or_warned_of_where_all_is_well(place: Place) -> None:
    for words in (("--latest",), ("--latest", "--in-place"), ("--immediate", "--action", "pause")):
        checks = place.plan(*words)
        assert checks.refusing == set()
        assert checks.warning <= EXPECTED_WARNINGS
    assert len(checks) > 30


# The WAL


def accident_segment(history: History) -> str:
    """The segment of timeline 1 that holds the accident, full of records; every backup needs it to that line's end."""
    size = history.cluster.segment_size
    return SegmentName(1, history.before_accident // size).text(size)


def test_a_missing_segment_is_named_and_a_restore_may_end_before_it(place: Place, history: History) -> None:
    gone = [name for name in place.operator.cluster.segments() if name.startswith("00000001")][-2]
    place.plan(*LATEST).says("wal-gap", "refuse", True, "none missing")
    (place.archive / gone).unlink()
    place.plan(*LATEST).says("wal-gap", "refuse", False, gone)
    accepted = place.plan(*LATEST, "--accept-gap")
    assert accepted.refusing == set()
    accepted.says("wal-gap", "refuse", True, "accepted", gone)


def flip(content: bytes) -> bytes:
    middle = 5 * 8192 + 4000  # inside a record's body, whatever it is: a page's header is 24 bytes
    return content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :]


def foreign(content: bytes) -> bytes:
    """The segment as another cluster would have written it: its system identifier (xlp_sysid) is another."""
    (own_id,) = struct.unpack_from("=Q", content, 24)
    return content[:24] + struct.pack("=Q", own_id + 1) + content[LONG_PAGE_HEADER - 8 :]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[: len(content) // 3], id="truncated"),
        pytest.param(lambda content: bytes(len(content)), id="zeroed"),
        pytest.param(lambda content: content[: 5 * 8192] + bytes(len(content) - 5 * 8192), id="zeroed from the middle"),
        pytest.param(flip, id="one bit flipped"),
        pytest.param(foreign, id="of another cluster"),
    ],
)
def test_a_damaged_segment_ends_what_can_be_reached(
    place: Place, history: History, damage: Callable[[bytes], bytes]
) -> None:
    place.plan(*LATEST).says("wal-corrupt", "refuse", True)
    rewrite(place.archive / accident_segment(history), damage)
    place.plan(*LATEST).says("wal-corrupt", "refuse", False, accident_segment(history))


def test_a_segment_under_another_ones_name_is_noticed(place: Place, history: History) -> None:
    other = place.archive / place.operator.cluster.segments()[0]
    rewrite(place.archive / accident_segment(history), lambda _: other.read_bytes())
    place.plan(*LATEST).says("wal-corrupt", "refuse", False, accident_segment(history))


def test_an_unfinished_segment_is_shown_and_not_used(place: Place) -> None:
    assert "partial-segment" not in place.plan(*LATEST)
    last = [name for name in place.operator.cluster.segments() if name.startswith("00000001")][-1]
    following = SegmentName(1, int(last[8:16], 16) * 0x1000 + int(last[16:], 16) + 1).text(1 << 20)
    (place.archive / f"{following}.partial").write_bytes((place.archive / last).read_bytes())
    place.plan(*LATEST).says("partial-segment", "info", False, f"{following}.partial")


@pytest.mark.parametrize("folder", ["wal", "base"])
def test_a_repository_that_is_away_is_not_taken_for_an_empty_one(place: Place, folder: str) -> None:
    place.plan("--latest").says("archive-unreachable", "refuse", True)
    lost = place.operator.cluster.root / folder
    lost.rename(lost.with_name("elsewhere"))
    place.plan("--latest").says("archive-unreachable", "refuse", False, str(lost))


def test_a_timeline_without_its_history_file_clashes_with_the_new_one(place: Place) -> None:
    place.plan(*LATEST).says("archive-clash", "warn", True, "will be 3")
    (place.archive / "00000002.history").unlink()
    place.plan(*LATEST).says("archive-clash", "warn", False, "would be 2")


# The target


def test_a_target_before_the_backups_end_is_refused_with_what_reaches_it(place: Place, history: History) -> None:
    ends = history.cluster.ends(1)
    checks = place.plan("--time", ends[0].at.isoformat())
    checks.says("target-in-backup", "refuse", False, "no older base backup")
    checks.says("target-offset", "refuse", True)
    second, third = history.backups["tar"], history.backups["tar.gz"]
    document = place.plan("--immediate", "--backup", second, "--timeline", "1").document
    stop = next(end for end in ends if end.lsn >= parse_lsn(document["stop_lsn"]) and end.kind == "COMMIT")
    named = ("--xid", str(stop.xid), "--timeline", "1")
    checks = place.plan(*named, "--backup", third)
    checks.says("target-in-backup", "refuse", False, f"{second} reaches it")
    place.plan(*named).says("target-in-backup", "refuse", True, second)


def test_a_target_behind_the_end_of_the_wal_is_refused(place: Place, history: History) -> None:
    last = history.cluster.ends(1)[-1]
    place.plan("--lsn", format_lsn(last.lsn + (1 << 30)), "--timeline", "1").says("target-past-end", "refuse", False)
    place.plan("--lsn", format_lsn(last.lsn), "--timeline", "1").says("target-past-end", "refuse", True)


def test_a_name_given_twice_means_the_last_and_an_unknown_one_is_refused(place: Place) -> None:
    place.plan("--name", "twice").says("target-name", "info", True, "earlier ones of this name")
    checks = place.plan("--name", "month-end", "--timeline", "1")
    checks.says("target-name", "refuse", False, "month-end")
    assert "month end" in checks["target-name"]["remedy"]


def test_a_moment_on_two_timelines_must_be_chosen_and_another_line_than_the_live_one_is_told(
    place: Place, history: History
) -> None:
    lost = next(end for end in reversed(history.cluster.ends(1)) if end.lsn > history.fork)
    checks = place.plan("--time", lost.at.isoformat())
    checks.says("timeline", "refuse", False, "2 timelines hold this target")
    chosen = re.search(r"--timeline \d+", checks["timeline"]["remedy"])
    assert chosen is not None
    place.plan("--time", lost.at.isoformat(), *chosen[0].split()).says("timeline", "warn", True)
    place.plan("--time", lost.at.isoformat(), "--timeline", "1").says("timeline", "warn", False, "timeline 1")
    place.plan("--latest", "--timeline", "9").says("timeline", "refuse", False, "9")


def test_commit_times_that_jump_back_are_told(place: Place, history: History) -> None:
    """Writers at once: the commit records' order is not quite that of their times."""
    ends = [end for end in history.cluster.ends(1) if end.kind == "COMMIT" and end.lsn < history.fork]
    words = ("--immediate", "--backup", history.backups["plain"], "--timeline", "1")
    consistent = parse_lsn(place.plan(*words).document["stop_lsn"])
    jumps = [(one, two) for one, two in pairwise(ends) if consistent < one.lsn and two.at < one.at]
    if not jumps:
        pytest.skip("in this recording no commit overtook another (tests/recovery/test_checks.py has made-up ones)")
    place.plan("--time", jumps[0][1].at.isoformat(), "--timeline", "1").says("clock", "warn", False, "jump back")


# The backup


def spoil_label(backup: Path) -> None:
    (backup / "backup_label").unlink()


def spoil_control(backup: Path) -> None:
    rewrite(backup / "global" / "pg_control", lambda content: content[:40] + b"\xff" + content[41:])


def spoil_end(backup: Path) -> None:
    (backup / "global" / "pg_control").unlink()


def spoil_version(backup: Path) -> None:
    rewrite(backup / "PG_VERSION", lambda _: b"11\n")


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (spoil_label, "backup-label"),
        (spoil_end, "backup-incomplete"),
        (spoil_control, "backup-damaged"),
        (spoil_version, "major-version"),
    ],
)
def test_a_spoilt_backup_is_refused_by_its_name_and_never_chosen(
    place: Place, history: History, spoil: Callable[[Path], None], name: str
) -> None:
    backup = history.backups["plain"]
    named = ("--immediate", "--backup", backup, "--timeline", "1")
    assert name not in place.plan(*named).refusing
    spoil(place.backup(backup))
    place.plan(*named).says(name, "refuse", False, backup)
    assert place.plan("--name", "twice").document["backup"] != backup
    place.keep_only(backup)
    place.plan("--name", "twice").says(name, "refuse", False, backup)


def test_a_backup_without_a_manifest_is_told(place: Place, history: History) -> None:
    named = ("--name", "month end", "--backup", history.backups["plain"], "--timeline", "1")
    place.plan(*named).says("backup-damaged", "info", None, "compared with the manifest")
    (place.backup(history.backups["plain"]) / "backup_manifest").unlink()
    place.plan(*named).says("backup-damaged", "warn", False, "no manifest")


def test_an_incremental_backup_without_its_parent_is_refused(place: Place, history: History) -> None:
    if "incremental" not in history.backups:
        pytest.skip("incremental backups exist from PostgreSQL 17 on")
    named = ("--immediate", "--backup", history.backups["incremental"], "--timeline", "1")
    assert place.plan(*named).refusing == set()
    (place.operator.cluster.backups / history.backups["plain"]).unlink()
    place.plan(*named).says("backup-incomplete", "refuse", False, "builds on")


def test_what_the_backups_settings_ask_for_is_looked_up(place: Place, history: History) -> None:
    named = ("--name", "month end", "--backup", history.backups["plain"], "--timeline", "1")
    quiet = place.plan(*named)
    quiet.says("libraries", "refuse", True, "no library")
    quiet.says("stale-settings", "info", True, "no settings")
    quiet.says("sync-standby", "info", True, "no synchronous standby")
    quiet.says("settings-too-low", "refuse", True, "nothing higher")
    add(
        place.backup(history.backups["plain"]) / "postgresql.auto.conf",
        "shared_preload_libraries = 'amcheck_of_nobody, pg_stat_nothing'",
        "max_connections = 30",
        "recovery_target_time = '2020-01-01'",
        "primary_conninfo = 'host=gone'",
        "synchronous_standby_names = 'gone'",
    )
    checks = place.plan(*named)
    assert checks.refusing == {"libraries"}
    checks.says("libraries", "refuse", False, "amcheck_of_nobody", "pg_stat_nothing")
    checks.says("stale-settings", "info", True, "primary_conninfo", "recovery_target_time")
    checks.says("sync-standby", "info", True, "'gone'", "blanked")
    checks.says("settings-too-low", "refuse", True, "max_connections 30 to 100")


def test_a_build_without_what_the_cluster_needs_is_refused_and_so_is_an_unknown_one(
    place: Place, history: History
) -> None:
    named = ("--name", "month end", "--backup", history.backups["plain"], "--timeline", "1")
    poor = place.home / "poor"
    poor.mkdir()
    for program in Path(history.cluster.programs.bin_dir).iterdir():
        if program.name != "pg_config":
            (poor / program.name).symlink_to(program)
    add(place.backup(history.backups["plain"]) / "postgresql.auto.conf", "wal_compression = lz4")
    place.site(bin_dir=str(poor))
    place.plan(*named).says("build-features", "refuse", None, "unknown")
    other = poor.with_name("poorer")
    poor.rename(other)
    config = other / "pg_config"
    config.write_text(f"#!/bin/sh\ncase $1 in --configure) echo \"'--with-icu'\";; *) echo {other};; esac\n")
    config.chmod(0o755)
    place.site(bin_dir=str(other))
    place.plan(*named).says("build-features", "refuse", False, "without lz4")


def test_programs_of_another_major_version_are_refused(place: Place, history: History) -> None:
    version = history.cluster.programs.version
    others = [found for found in find_programs() if found.version != version]
    if not others:
        pytest.skip("only one major version is on this machine")
    place.plan("--latest").says("major-version", "refuse", True, f"{version} in the backup")
    place.site(bin_dir=others[0].bin_dir)
    place.plan("--latest").says("major-version", "refuse", False, str(others[0].version), str(version))


# The machine


def test_an_occupied_a_half_restored_and_a_wrong_destination_are_refused(place: Place) -> None:
    there = place.home / "there"
    (there / "staging").mkdir(parents=True)
    where = ("--latest", "--into", str(there))
    place.plan(*where).says("half-restored", "refuse", False, "a half-restored copy")
    (there / "staging").rmdir()
    place.plan(*where).says("destination", "refuse", True, "empty")
    (there / "letter").write_text("dear")
    place.plan(*where).says("destination", "refuse", False, "'letter'")
    place.plan("--latest", "--into", str(there / "letter")).says("destination", "refuse", False, "not")


def test_a_port_in_use_is_refused_with_its_user(place: Place) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        place.plan("--latest", "--port", port).says("port", "refuse", False, port, str(os.getpid()))
    place.plan("--latest", "--port", port).says("port", "refuse", True, "free")


@ROOT_ONLY
def test_a_disk_that_is_too_small_is_refused(place: Place) -> None:
    with tmpfs(place.home / "small", "8m") as small:
        place.plan("--latest", "--into", str(small / "copy")).says("disk-space", "refuse", False, str(small))
    place.plan("--latest").says("disk-space", "refuse", True)


@ROOT_ONLY
def test_a_data_directory_that_is_a_mount_point_is_emptied_and_a_read_only_one_refused(
    history: History, open_dir: Path
) -> None:
    outer = open_dir / "outer"
    with tmpfs(outer, "400m"), tmpfs(outer / "data", "300m") as data_dir:
        place = make_place(history.cluster, open_dir, data_dir)
        copy_cluster(history.cluster, data_dir)
        checks = place.plan("--latest", "--in-place")
        checks.says("mount-point", "refuse", True, "within it")
        subprocess.run(["mount", "-o", "remount,ro", data_dir], check=True)
        place.plan("--latest", "--in-place").says("mount-point", "refuse", False, "cannot be written to")


def copy_cluster(cluster: Cluster, data_dir: Path) -> None:
    """A stopped cluster's data directory, elsewhere."""
    shutil.copytree(cluster.data_dir, data_dir, symlinks=True, dirs_exist_ok=True)
    own(data_dir, cluster.user)
    data_dir.chmod(0o700)


@ROOT_ONLY
def test_another_user_than_the_clusters_owner_is_refused(place: Place) -> None:
    place.plan("--latest", "--in-place").says("ownership", "refuse", True, place.original.user.name)
    other = "daemon" if place.original.user.name != "daemon" else "nobody"
    place.site(run_as=other)
    place.plan("--latest", "--in-place").says("ownership", "refuse", False, place.original.user.name, other)


def test_a_site_or_folder_that_another_run_holds_is_refused_with_the_holder(place: Place) -> None:
    state, copy = place.home / "state", place.home / "copy"
    for path, words in ((site_lock(state, "archive"), ("--in-place",)), (folder_lock(state, copy), place.into)):
        lock = take_lock(path, "20261122-other", "held")
        place.plan("--latest", *words).says("another-run", "refuse", False, "20261122-other", str(os.getpid()))
        lock.release()
        place.plan("--latest", *words).says("another-run", "refuse", True)


def test_a_cluster_manager_is_refused_in_place_and_told_beside_it(place: Place) -> None:
    place.plan("--latest", "--in-place").says("managed-elsewhere", "refuse", True)
    script = place.home / "patroni"
    script.write_text("input()\n")
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE) as manager:
        try:
            place.plan("--latest", "--in-place").says(
                "managed-elsewhere", "refuse", False, f"Patroni (pid {manager.pid})"
            )
            place.plan("--latest").says("managed-elsewhere", "info", True, "left alone")
        finally:
            manager.kill()


# A running production


@pytest.fixture(scope="module")
def production() -> Iterator[Cluster]:
    """A running cluster with what makes a recovery awkward. Its backups: ``calm``, as tar; ``crowded``, plain, begun
    while a transaction had more than 64 subtransactions."""
    cluster = make_cluster("awkward", settings={"max_connections": "60", "wal_level": "logical"})
    try:
        _live(cluster)
        yield cluster
    finally:
        cluster.destroy()


def _live(cluster: Cluster) -> None:
    fast = cluster.root / "fast"
    fast.mkdir()
    own(fast, cluster.user)
    cluster.sql(f"CREATE TABLESPACE fast LOCATION '{fast}'")
    cluster.sql("CREATE TABLE moved (x int) TABLESPACE fast")
    cluster.sql("CREATE UNLOGGED TABLE scratch (x int)")
    cluster.sql("INSERT INTO scratch VALUES (1)")
    cluster.sql("CREATE SUBSCRIPTION from_elsewhere CONNECTION 'host=gone' PUBLICATION p WITH (connect = false)")
    cluster.sql("SELECT pg_create_physical_replication_slot('of_a_standby')")
    cluster.base_backup("calm", "tar")
    with cluster.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE many (x int)")
        for number in range(70):
            connection.execute(f"SAVEPOINT s{number}".encode())
            connection.execute("INSERT INTO many VALUES (1)")
        mapping = ("--tablespace-mapping", f"{fast}={cluster.root / 'mapped-crowded'}")
        cluster.base_backup("crowded", extra=mapping)
        connection.execute("COMMIT")
    cluster.stop()
    with (cluster.data_dir / "postgresql.conf").open("a") as file:
        file.write("max_connections = 150\nsynchronous_standby_names = 'berlin'\nsynchronous_commit = local\n")
    cluster.start()
    cluster.write(10)
    cluster.switch()


@pytest.fixture
def awkward(production: Cluster, open_dir: Path) -> Place:
    return make_place(production, open_dir)


def test_a_running_production_is_seen_and_what_it_sets(awkward: Place) -> None:
    pid = str(awkward.original.server.pid())
    checks = awkward.plan("--latest", "--in-place", "--backup", "calm")
    assert checks.refusing == set()
    checks.says("server-running", "info", True, pid, "stopped at the switch-over")
    checks.says("sync-standby", "info", True, "'berlin'")
    checks.says("configuration", "refuse", True)
    checks.says("tablespaces", "refuse", True, "set aside")
    checks.says("rebuild", "info", None)
    checks.says("pause-ignored", "info", True)
    aside = awkward.plan("--latest", "--backup", "calm")
    aside.says("server-running", "info", True, pid, "left alone")
    aside.says("tablespaces", "refuse", True, "the copy's own")
    assert "rebuild" not in aside


def test_a_setting_raised_later_in_the_wal_is_found_there(awkward: Place) -> None:
    awkward.plan("--immediate", "--backup", "calm").says("settings-too-low", "refuse", True, "0 parameter changes")
    awkward.plan("--latest").says("settings-too-low", "refuse", True, "max_connections 60 to 150")


def test_too_many_subtransactions_at_the_backups_start_are_told(awkward: Place) -> None:
    checks = awkward.plan("--latest", "--backup", "crowded", "--action", "pause")
    checks.says("pause-ignored", "info", False, "64 subtransactions")
    checks.says("hot-standby-locks", "info", None)
    assert "hot-standby-locks" not in awkward.plan("--latest", "--backup", "crowded")


def test_a_subtransaction_is_resolved_to_its_transaction(awkward: Place) -> None:
    many = next(end for end in awkward.original.ends(1) if end.xid and _has_many(awkward.original, end.xid))
    inner = awkward.plan("--xid", str(many.xid + 5))
    inner.says("target-subtransaction", "refuse", True, str(many.xid))
    assert inner.document["kept_until"]["xid"] == many.xid
    assert "target-subtransaction" not in awkward.plan("--xid", str(many.xid))


def _has_many(cluster: Cluster, xid: int) -> bool:
    return bool(cluster.sql("SELECT 1 FROM pg_class WHERE relname = 'many' AND xmin::text = %s", str(xid)))


def test_wal_that_only_production_has_is_told(awkward: Place) -> None:
    awkward.original.switch()
    aside = awkward.plan("--latest")
    aside.says("unarchived-tail", "warn", False, "not reachable from a side copy")
    awkward.plan("--latest", "--in-place").says("unarchived-tail", "warn", True, "salvaged")


def test_configuration_outside_the_data_directory_must_be_named(awkward: Place) -> None:
    production = awkward.original
    outside = production.root / "etc.conf"
    shutil.copy(production.data_dir / "postgresql.conf", outside)
    outside.chmod(0o644)
    production.stop()
    try:
        production.start({"config_file": str(outside)})
        awkward.plan("--latest", "--in-place").says("configuration", "refuse", False, str(outside))
        awkward.plan("--latest").says("configuration", "refuse", True, "files of its own")
        production.stop()
        awkward.plan("--latest", "--in-place").says("configuration", "refuse", False, str(outside))
        production.start()
        production.stop()
        awkward.plan("--latest", "--in-place").says("configuration", "refuse", True, "in the data directory")
        (production.data_dir / "postgresql.conf").rename(production.root / "kept.conf")
        awkward.plan("--latest", "--in-place").says("configuration", "refuse", False, "no postgresql.conf")
        (production.root / "kept.conf").rename(production.data_dir / "postgresql.conf")
        awkward.site(config_file=str(outside))
        awkward.plan("--latest", "--in-place").says("configuration", "refuse", True, str(outside))
    finally:
        production.stop()
        production.start()


def test_copies_of_another_cluster_are_refused_in_place(history: History, production: Cluster, open_dir: Path) -> None:
    place = make_place(history.cluster, open_dir, production.data_dir)
    place.plan("--latest", "--in-place").says("major-version", "refuse", False, "the production cluster is")
    for segment in place.operator.cluster.segments():
        (place.archive / segment).unlink()
    shutil.copytree(production.archive, place.archive, dirs_exist_ok=True)
    assert place.plan("--latest").refusing  # by whatever name: one cluster's backup, another's WAL


@ROOT_ONLY
def test_a_tablespace_that_cannot_be_written_to_is_refused(production: Cluster, open_dir: Path) -> None:
    place = make_place(production, open_dir, open_dir / "bare")
    words = ("--latest", "--in-place", "--backup", "calm")
    place.plan(*words).says("tablespaces", "refuse", True)
    with tmpfs(production.root / "fast", "8m"):
        subprocess.run(["mount", "-o", "remount,ro", production.root / "fast"], check=True)
        place.plan(*words).says("tablespaces", "refuse", False, "cannot be written to")


def test_without_production_a_plain_backups_tablespace_is_never_restored_into_the_backup(
    production: Cluster, open_dir: Path
) -> None:
    place = make_place(production, open_dir, open_dir / "bare")
    words = ("--latest", "--backup", "crowded")
    place.plan(*words, "--in-place").says("tablespaces", "refuse", False, "mapped-crowded", "write into the backup")
    place.plan(*words).says("tablespaces", "refuse", True, "the copy's own")


# After the recovery


def test_a_flipped_bit_in_the_backup_ends_the_run_before_anything_starts(place: Place, history: History) -> None:
    backup = place.backup(history.backups["plain"])
    victim = max((backup / "base").rglob("[0-9]*"), key=lambda file: file.stat().st_size if file.is_file() else 0)
    rewrite(victim, flip)
    words = ("--name", "month end", "--backup", backup.name, "--timeline", "1", *place.into)
    said = place.operator.call("restore", *words, "--yes", expect=1).document
    assert said["outcome"] == "failed"
    assert victim.name in json.dumps(said["error"])
    assert not list((place.home / "copy").rglob("pg_control"))


def test_leftovers_of_an_older_recovery_do_nothing_and_the_report_tells_what_was_looked_at(
    place: Place, history: History
) -> None:
    backup = place.backup(history.backups["plain"])
    for signal_file in ("recovery.signal", "standby.signal"):
        (backup / signal_file).touch()
    stale = ("recovery_target_time = '2020-01-01'", "restore_command = 'false'", "recovery_end_command = 'touch /x'")
    add(backup / "postgresql.auto.conf", *stale, "primary_conninfo = 'host=gone'", "max_connections = 5")
    words = ("--name", "month end", "--backup", backup.name, "--timeline", "1", *place.into)
    checks = place.restore(*words)
    data_dir = Path(checks.document["data_dir"])
    assert not (data_dir / "recovery.signal").exists() and not (data_dir / "standby.signal").exists()
    assert "gone" not in (data_dir / "postgresql.auto.conf").read_text()
    assert checks.document["reached"]["proven"]
    checks.says("collation", "warn", True)
    checks.says("page-checksums", "warn", True, "every checksum right", "no database has the extension amcheck")
    checks.says("unlogged", "info", True, "no unlogged tables")
    checks.says("large-jobs", "info", True, "no scheduled jobs and no subscriptions")


@pytest.mark.slow
def test_in_place_the_report_names_what_is_different_and_what_must_be_rebuilt(
    new_cluster: Callable[..., Cluster], open_dir: Path
) -> None:
    cluster = new_cluster(settings={"synchronous_standby_names": "berlin", "synchronous_commit": "local"})
    cluster.sql("CREATE UNLOGGED TABLE scratch (x int)")
    cluster.sql("CREATE SUBSCRIPTION from_elsewhere CONNECTION 'host=gone' PUBLICATION p WITH (connect = false)")
    cluster.sql("SELECT pg_create_physical_replication_slot('of_a_standby')")
    cluster.sql("CREATE EXTENSION amcheck")
    cluster.sql("CREATE TABLE orders (id int PRIMARY KEY)")
    cluster.sql("INSERT INTO orders SELECT generate_series(1, 5000)")
    cluster.sql(_SOME_COLLATION[cluster.programs.version < 17])
    cluster.sql("UPDATE pg_collation SET collversion = '0.1' WHERE collname = 'of_the_origin'")
    _damage_an_index(cluster)
    cluster.base_backup("one", extra=("--no-verify-checksums",))
    cluster.switch()
    checks = Place(operator_for(cluster, open_dir), cluster).restore("--latest", "--in-place")
    checks.says("unlogged", "info", True, "scratch")
    checks.says("large-jobs", "info", True, "from_elsewhere")
    checks.says("rebuild", "info", True, "berlin", "of_a_standby", "new base backup")
    checks.says("collation", "warn", False, "of_the_origin 0.1 is now")
    checks.says("page-checksums", "warn", False, "orders")
    assert cluster.value("SHOW synchronous_standby_names") == ""


# By whether the version is below 17: before, only libc and ICU provide collations, and ICU is not in every build.
_SOME_COLLATION = {
    True: "CREATE COLLATION of_the_origin (provider = libc, locale = 'C.UTF-8')",
    False: "CREATE COLLATION of_the_origin (provider = builtin, locale = 'C.UTF-8')",
}


def _damage_an_index(cluster: Cluster) -> None:
    """A flipped bit in a page of an index, as a bad disk leaves it; PostgreSQL must read it anew to notice."""
    file = cluster.value("SELECT pg_relation_filepath('orders_pkey')")
    cluster.stop()
    rewrite(cluster.data_dir / file, lambda content: content[: 8192 + 4000] + b"\xff\x00" + content[8192 + 4002 :])
    cluster.start()
