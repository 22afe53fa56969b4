"""Who PostgreSQL's programs run as, and what such a user can reach."""

import os
from pathlib import Path

import pytest

from engine.records.errors import RepriseError
from engine.records.survey import OsUser
from engine.system import users
from engine.system.users import current_user, default_run_as, is_root, may_reach, may_write, os_user, who_else_writes

as_root = pytest.mark.skipif(not is_root(), reason="needs root")


def test_an_unknown_user_is_refused_with_a_remedy() -> None:
    with pytest.raises(RepriseError) as refusal:
        os_user("no-such-user-here")
    assert refusal.value.remedy is not None and "run_as" in refusal.value.remedy


@as_root
def test_root_runs_as_the_sites_user_else_the_owner_of_the_data_else_of_the_backups(
    tmp_path: Path, os_user: OsUser
) -> None:
    data, backups = tmp_path / "data", tmp_path / "backups"
    data.mkdir()
    backups.mkdir()
    os.chown(data, os_user.uid, os_user.gid)
    assert default_run_as("daemon", data).name == "daemon"
    assert default_run_as(None, data) == os_user
    os.chown(backups, 1, 1)
    assert default_run_as(None, tmp_path / "absent", [backups]).uid == 1
    with pytest.raises(RepriseError, match="root"):
        default_run_as("root")


@pytest.mark.skipif(is_root(), reason="needs an ordinary user")
def test_an_ordinary_user_runs_as_himself() -> None:
    assert default_run_as(None) == current_user()
    with pytest.raises(RepriseError):
        default_run_as("root")


def test_reach_follows_every_folder_on_the_way(open_dir: Path, os_user: OsUser) -> None:
    inner = open_dir / "a" / "b"
    inner.mkdir(parents=True)
    stranger = OsUser("bin", 2, 2)
    assert may_reach(stranger, inner)
    assert not may_write(stranger, inner)
    inner.parent.chmod(0o700)
    assert not may_reach(stranger, inner)
    assert not may_reach(os_user, inner / "absent")


def test_who_lingers_stands_in_loginds_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "_LINGERING", tmp_path)
    anna = OsUser("anna", 1000, 1000)
    assert not users.lingers(anna)
    (tmp_path / "anna").touch()
    assert users.lingers(anna)


@as_root
def test_who_else_writes_is_everybody_or_a_strange_group_never_the_owner_nor_the_users_own_group(
    tmp_path: Path, os_user: OsUser
) -> None:
    folder = tmp_path / "copies"
    folder.mkdir(mode=0o700)
    os.chown(folder, os_user.uid, os_user.gid)
    for mode, gid, others in (
        (0o700, os_user.gid, None),
        (0o755, os_user.gid, None),
        (0o770, os_user.gid, None),
        (0o2770, 0, None),
        (0o770, 54321, "the group 54321"),
        (0o750, 54321, None),
        (0o777, os_user.gid, "everybody"),
        (0o1777, os_user.gid, "everybody"),
    ):
        os.chown(folder, os_user.uid, gid)
        folder.chmod(mode)
        assert who_else_writes(folder, [current_user(), os_user]) == others, (oct(mode), gid)


@as_root
def test_a_folder_above_in_which_everybody_may_rename_counts(tmp_path: Path) -> None:
    folder = tmp_path / "above" / "copies"
    folder.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o1777)
    assert who_else_writes(folder, [current_user()]) is None
    folder.parent.chmod(0o777)
    assert who_else_writes(folder, [current_user()]) == "everybody"
