"""A chain of real incremental backups, plain and tar, with a tablespace, tried by pg_combinebackup on skeletons."""

import os
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.backup.chains import try_chain
from tests.recorded import once_a_run
from tests.steps.test_combine import Chain, record_chain


@pytest.fixture(scope="module")
def chain() -> Chain:
    return once_a_run("chain", record_chain)


def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def test_a_whole_chain_is_combinable_and_takes_little_room(chain: Chain, tmp_path: Path) -> None:
    place = scratch(tmp_path)
    assert try_chain(chain.members, chain.cluster.programs, place) == []
    assert not (place / "combined").exists()
    taken = sum(path.stat().st_blocks * 512 for path in place.rglob("*") if path.is_file() and path.name != "base.tar")
    full = sum(path.stat().st_size for path in (place / "0").rglob("*") if path.is_file())
    assert taken < full / 2
    assert (place / "1" / "pg_tblspc" / str(chain.oid)).is_dir()


@pytest.mark.parametrize("members", [(0, 2), (1, 2), (0, 2, 1)])
def test_a_chain_without_a_member_or_in_disorder_is_not(chain: Chain, tmp_path: Path, members: tuple[int, ...]) -> None:
    found = try_chain([chain.members[each] for each in members], chain.cluster.programs, scratch(tmp_path))
    assert len(found) == 1
    assert found[0].startswith("its chain cannot be combined: pg_combinebackup: error: ")
    assert str(tmp_path) not in found[0]


def test_an_incremental_file_without_the_blocks_that_it_promises_is_found(chain: Chain, tmp_path: Path) -> None:
    last = chain.members[2]
    copied = tmp_path / "third"
    shutil.copytree(last.path, copied, symlinks=True)
    largest = max((copied / "base").rglob("INCREMENTAL.*"), key=lambda path: path.stat().st_size)
    os.truncate(largest, largest.stat().st_size - 8192)
    members = [*chain.members[:2], replace(last, path=copied)]
    found = try_chain(members, chain.cluster.programs, scratch(tmp_path))
    assert len(found) == 1
    assert str(largest) in found[0]
