"""Production's files, which its owner may have replaced by anything, read by root: never with more than his rights."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from engine.postgres.users import everyday_user, is_root
from engine.records.errors import RepriseError
from engine.steps.shared import production_settings
from engine.steps.shared.production_settings import put_back, read_inside
from tests.steps.origin import own
from tests.steps.test_renaming_in_place import Machine, write

needs_root = pytest.mark.skipif(not is_root(), reason="only root has more rights than the owner")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Production was set aside, its copy is in its place; both belong to an everyday user."""
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    made = Machine(tmp_path / "m")
    aside = Path(str(made.layout.set_aside))
    (tmp_path / "m/db/main").rename(aside)
    Path(made.layout.data_dir).rename(tmp_path / "m/db/main")
    user = everyday_user()
    made.layout = replace(made.layout, run_as=user)
    for folder in (tmp_path / "m", tmp_path / "m/db"):
        folder.chmod(0o755)
    own(aside, user)
    own(tmp_path / "m/db/main", user)
    return made


@needs_root
def test_a_link_to_what_its_owner_cannot_read_is_not_read(machine: Machine, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root's own")
    secret.chmod(0o600)
    planted = Path(str(machine.layout.set_aside)) / "postgresql.conf"
    planted.symlink_to(secret)
    with pytest.raises(RepriseError):
        put_back(machine.step({}), tmp_path / "m/db/main")
    assert not (tmp_path / "m/db/main/postgresql.conf").exists()


def test_a_link_to_a_file_that_its_owner_can_read_is_read(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "m" / "there.conf").write_text("work_mem = '5MB'\n")
    linked = Path(str(machine.layout.set_aside)) / "postgresql.conf"
    linked.symlink_to(tmp_path / "m" / "there.conf")
    put_back(machine.step({}), tmp_path / "m/db/main")
    assert (tmp_path / "m/db/main/postgresql.conf").read_text() == "work_mem = '5MB'\n"


def test_a_pipe_is_refused_and_waits_for_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "postgresql.conf")
    with pytest.raises(RepriseError, match="is no file"):
        read_inside(tmp_path / "postgresql.conf", everyday_user())


@needs_root
def test_what_is_included_is_copied_with_its_owners_rights_only(machine: Machine, tmp_path: Path) -> None:
    aside, production = Path(str(machine.layout.set_aside)), tmp_path / "m/db/main"
    secret = tmp_path / "secret"
    secret.mkdir()
    write(secret / "key.conf", "root's own")
    secret.chmod(0o700)
    write(aside / "conf.d" / "more.conf", "work_mem = '5MB'\n")
    (aside / "postgresql.conf").write_text("include_dir = 'conf.d'\n")
    own(aside, machine.layout.run_as)
    put_back(machine.step({}), production)
    put_back(machine.step({}), production)
    assert (production / "conf.d" / "more.conf").stat().st_uid == machine.layout.run_as.uid
    (aside / "conf.d").rename(aside / "conf.was")
    (aside / "conf.d").symlink_to(secret)
    with pytest.raises(RepriseError):
        production_settings.put_back(machine.step({}), production)
    assert not (production / "conf.d" / "key.conf").exists()
