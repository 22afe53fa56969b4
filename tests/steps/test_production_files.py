"""Production's files, which its owner may have replaced by anything, read by root: never with more than his rights."""

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.records.errors import RepriseError
from engine.steps.shared import production_settings
from engine.steps.shared.production_settings import put_back, read_inside
from engine.system.users import everyday_user, is_root
from tests.clusters import own
from tests.steps.test_renaming_in_place import Machine, write

needs_root = pytest.mark.skipif(not is_root(), reason="only root has more rights than the owner")


@pytest.fixture
def machine(open_dir: Path) -> Machine:
    """Production was set aside, its copy is in its place; both belong to an everyday user."""
    made = Machine(open_dir / "m")
    aside = Path(str(made.layout.set_aside))
    (open_dir / "m/db/main").rename(aside)
    Path(made.layout.data_dir).rename(open_dir / "m/db/main")
    user = everyday_user()
    made.layout = replace(made.layout, run_as=user)
    for folder in (open_dir / "m", open_dir / "m/db"):
        folder.chmod(0o755)
    own(aside, user)
    own(open_dir / "m/db/main", user)
    return made


@needs_root
def test_a_link_to_what_its_owner_cannot_read_is_not_read(machine: Machine, open_dir: Path) -> None:
    secret = open_dir / "secret"
    secret.write_text("root's own")
    secret.chmod(0o600)
    planted = Path(str(machine.layout.set_aside)) / "postgresql.conf"
    planted.symlink_to(secret)
    with pytest.raises(RepriseError):
        put_back(machine.step({}), open_dir / "m/db/main")
    assert not (open_dir / "m/db/main/postgresql.conf").exists()


def test_a_link_to_a_file_that_its_owner_can_read_is_read(machine: Machine, open_dir: Path) -> None:
    (open_dir / "m" / "there.conf").write_text("work_mem = '5MB'\n")
    linked = Path(str(machine.layout.set_aside)) / "postgresql.conf"
    linked.symlink_to(open_dir / "m" / "there.conf")
    put_back(machine.step({}), open_dir / "m/db/main")
    assert (open_dir / "m/db/main/postgresql.conf").read_text() == "work_mem = '5MB'\n"


def test_a_pipe_is_refused_and_waits_for_nobody(open_dir: Path) -> None:
    os.mkfifo(open_dir / "postgresql.conf")
    with pytest.raises(RepriseError, match="is no file"):
        read_inside(open_dir / "postgresql.conf", everyday_user())


@needs_root
def test_what_is_included_is_copied_with_its_owners_rights_only(machine: Machine, open_dir: Path) -> None:
    aside, production = Path(str(machine.layout.set_aside)), open_dir / "m/db/main"
    secret = open_dir / "secret"
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
