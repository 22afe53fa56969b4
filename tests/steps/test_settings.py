"""The copy's own files: complete, harmless, and written twice the same."""

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.formats.settings_file import read_settings
from engine.steps import settings
from engine.steps.shared.layout import control_of
from engine.steps.shared.points import current_point
from engine.steps.shared.production_settings import write_private_block
from tests.steps.ledger import Ledger, once
from tests.steps.rehearsal import Rehearsal

HOSTILE = """
listen_addresses = '*'
archive_mode = always
archive_command = 'false'
archive_cleanup_command = 'rm -rf pg_wal/*'
primary_conninfo = 'host=production'
recovery_target_time = '2001-01-01'
shared_preload_libraries = 'pg_cron'
hba_file = '/etc/postgresql/15/main/pg_hba.conf'
data_directory = '/var/lib/postgresql/15/main'
include 'not there.conf'
"""


@pytest.fixture
def copy(ledger: Ledger, open_dir: Path) -> Rehearsal:
    step = ledger.origin.rehearse(ledger.origin.point(ledger.ends[5].lsn), open_dir / "copy")
    data_dir = step.copy.data_dir
    (data_dir / "postgresql.conf").write_text(HOSTILE)
    (data_dir / "postgresql.auto.conf").write_text("primary_slot_name = 'gone'\nrestore_command = 'false'\n")
    (data_dir / "recovery.signal").touch()
    (data_dir / "pg_replslot" / "left").mkdir()
    return step


@once
def test_nothing_of_the_origins_own_is_left_and_its_files_are_kept(ledger: Ledger, copy: Rehearsal) -> None:
    settings.apply(copy)
    data_dir = copy.copy.data_dir
    written = read_settings((data_dir / "postgresql.conf").read_text())
    assert written["archive_mode"] == "off" and written["listen_addresses"] == ""
    assert written["data_directory"] == str(data_dir) and written["hba_file"] == str(data_dir / "pg_hba.conf")
    assert written["recovery_target_timeline"] == "1"
    assert not written.keys() & {"primary_conninfo", "archive_cleanup_command", "recovery_target_time"}
    assert read_settings((data_dir / "postgresql.auto.conf").read_text()) == {}
    assert (data_dir / "postgresql.conf.reprise-original").read_text() == HOSTILE
    assert (data_dir / "standby.signal").exists() and not (data_dir / "recovery.signal").exists()
    assert list((data_dir / "pg_replslot").iterdir()) == []


@once
def test_applied_again_it_writes_the_same_and_keeps_the_first_original(ledger: Ledger, copy: Rehearsal) -> None:
    settings.apply(copy)
    data_dir = copy.copy.data_dir
    before = {path.name: path.read_bytes() for path in data_dir.glob("*conf*")}
    settings.apply(copy)
    assert {path.name: path.read_bytes() for path in data_dir.glob("*conf*")} == before


@once
def test_slots_behind_a_link_are_left_alone(ledger: Ledger, copy: Rehearsal, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    slots = copy.copy.data_dir / "pg_replslot"
    shutil.rmtree(slots)
    slots.symlink_to(tmp_path)
    settings.apply(copy)
    assert (tmp_path / "precious").is_dir()
    assert slots.is_dir() and not slots.is_symlink() and list(slots.iterdir()) == []


@once
def test_a_plain_start_is_harmless(ledger: Ledger, copy: Rehearsal) -> None:
    """Without a feed, started by hand: it waits, in recovery, and speaks to its own socket only."""
    settings.apply(copy)
    server = copy.copy
    server.start()
    try:
        server.wait(lambda: (server.startup_title() or "").startswith("waiting for "), 20, "it does not wait")
        assert server.pid() is not None
        assert (server.data_dir / "standby.signal").exists()
    finally:
        server.stop("immediate")


@once
@pytest.mark.parametrize("version", range(13, 19))
def test_a_version_is_given_no_setting_that_it_does_not_know(ledger: Ledger, copy: Rehearsal, version: int) -> None:
    """PostgreSQL does not start with one. All others that are written are in every version from 13 on."""
    data_dir = copy.copy.data_dir
    control = replace(control_of(data_dir), version=version)
    write_private_block(copy, data_dir, control, recovering=True, hold_archiving=True)
    written = read_settings((data_dir / "postgresql.auto.conf").read_text()).keys()
    written |= settings.side_copy_settings(copy.plan, current_point(copy), control).keys()
    assert ("archive_library" in written) == (version >= 15)
    assert ("promote_trigger_file" in written) == (version < 16)
    assert ("max_active_replication_origins" in written) == (version >= 18)


def test_settings_never_undercut_the_origins(ledger: Ledger, open_dir: Path) -> None:
    step = ledger.origin.rehearse(ledger.origin.point(ledger.ends[5].lsn), open_dir / "copy")
    control = control_of(step.copy.data_dir)
    needed = settings.needed_settings(
        step.plan, current_point(step), control, {"max_connections": "7", "max_worker_processes": "64"}
    )
    assert needed["max_worker_processes"] == "64"
    assert int(needed["max_connections"]) >= control.settings["max_connections"]
    assert set(needed) == set(settings.STANDBY_NEEDS)


def test_job_runners_are_not_loaded_and_others_are() -> None:
    libraries = ("pg_stat_statements", "pg_cron", "/usr/lib/pg_partman_bgw.so", "timescaledb")
    assert settings.harmless_libraries(libraries) == ["pg_stat_statements", "timescaledb"]


def test_socket_folders_are_quoted_where_they_must_be() -> None:
    assert settings.quote_list(["/var/run/x"]) == "/var/run/x"
    assert settings.quote_list(['/a b/"c"']) == '"/a b/""c"""'
