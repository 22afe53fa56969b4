"""Backups that are spoilt, and programs that do not fit them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.postgres.programs import find_programs
from tests.clusters import of_another_cluster
from tests.end_to_end.checks.place import Place, add, rewrite
from tests.histories import History


def spoil_label(backup: Path) -> None:
    (backup / "backup_label").unlink()


def spoil_control(backup: Path) -> None:
    rewrite(backup / "global" / "pg_control", lambda content: content[:40] + b"\xff" + content[41:])


def spoil_end(backup: Path) -> None:
    (backup / "global" / "pg_control").unlink()


def spoil_version(backup: Path) -> None:
    rewrite(backup / "PG_VERSION", lambda _: b"11\n")


def spoil_identity(backup: Path) -> None:
    rewrite(backup / "global" / "pg_control", of_another_cluster)


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (spoil_label, "backup-label"),
        (spoil_end, "backup-incomplete"),
        (spoil_control, "backup-damaged"),
        (spoil_version, "major-version"),
        (spoil_identity, "major-version"),
    ],
)
def test_a_spoilt_backup_is_refused_by_its_name_and_never_chosen(
    place: Place, history: History, spoil: Callable[[Path], None], name: str
) -> None:
    backup = history.backups["plain"]
    if spoil is spoil_identity and place.operator.cluster.programs.version >= 17:
        name = "backup-damaged"  # its manifest names the cluster too, and the two differ
    named = ("--immediate", "--backup", backup, "--timeline", "1")
    assert name not in place.plan(*named).refusing
    spoil(place.backup(backup))
    place.plan(*named).says(name, "refuse", False, backup)
    assert backup not in {window["backup"] for window in place.operator.ask("windows").document["windows"]}
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
