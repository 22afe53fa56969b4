"""Where PostgreSQL looks for a library (expand_dynamic_library_name in dfmgr.c)."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.postgres.libraries import library_dir, missing
from engine.records.survey import Programs


@pytest.mark.parametrize(
    ("name", "searched", "there"),
    [
        ("here", "$libdir", True),
        ("here.so", "$libdir", True),
        ("$libdir/here", "$libdir", True),
        ("$libdir/plugins/plugin", "$libdir", True),
        ("plugin", "$libdir", False),
        ("$libdir/plugin", "$libdir", False),
        ("plugin", "/nowhere:$libdir/plugins", True),
        ("$libdir/here", "/nowhere", True),  # a path is not searched for
        ("here", "/nowhere", False),
        ("$libdir/gone", "$libdir", False),
        ("folder", "$libdir", False),
    ],
)
def test_a_library_is_found_where_the_server_would_find_it(
    tmp_path: Path, name: str, searched: str, there: bool
) -> None:
    for file in ("here.so", "plugins/plugin.so", "folder/x"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert missing([name, name], tmp_path, searched) == ([] if there else [name])
    absolute = str(tmp_path / "here")
    assert missing([absolute, absolute + "2"], tmp_path) == [absolute + "2"]


def test_without_pg_config_the_folder_is_found_as_the_server_finds_it(programs: Programs, tmp_path: Path) -> None:
    assert programs.library_dir is not None
    known = library_dir(programs)
    assert known is not None and (known / "plpgsql.so").is_file()
    linked = tmp_path / "bin"
    linked.mkdir()
    (linked / "postgres").symlink_to(Path(programs.bin_dir) / "postgres")
    found = library_dir(replace(programs, bin_dir=str(linked), library_dir=None))
    assert found is not None and found.resolve() == known.resolve()
    (linked / "postgres").unlink()
    assert library_dir(replace(programs, bin_dir=str(linked), library_dir=None)) is None
