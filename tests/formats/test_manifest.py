"""backup_manifest: real ones, the two versions, every algorithm, damage, hostile paths."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.formats.manifest import read_manifest
from engine.records.errors import DamagedCopy
from tests.clusters import Cluster


def _manifest(files: list[dict[str, Any]] | None = None, **more: Any) -> bytes:
    """As `src/backend/backup/backup_manifest.c` writes it."""
    document = {"PostgreSQL-Backup-Manifest-Version": 1, "Files": files or [], **more}
    body = json.dumps(document)[:-1].encode() + b",\n"
    return body + b'"Manifest-Checksum": "' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'


def _file(**changes: Any) -> dict[str, Any]:
    entry = {"Path": "base/1/2", "Size": 8192, "Last-Modified": "2026-11-23 15:17:06 GMT"}
    entry |= {"Checksum-Algorithm": "CRC32C", "Checksum": "8a744722"}
    return {key: value for key, value in (entry | changes).items() if value is not None}


def test_real_manifests_name_every_file_with_every_algorithm(cluster: Cluster) -> None:
    for algorithm in ("NONE", "CRC32C", "SHA224", "SHA256", "SHA384", "SHA512"):
        encode = ("--manifest-force-encode",) if algorithm == "SHA256" else ()
        folder = cluster.base_backup(algorithm, extra=(f"--manifest-checksums={algorithm}", *encode))
        found = read_manifest((folder / "backup_manifest").read_bytes())
        there = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
        assert {file.path for file in found.files} == set(there) - {"backup_manifest"}
        assert found.size() == sum(file.size for file in found.files) > 1_000_000
        assert all(file.size == there[file.path].stat().st_size for file in found.files)
        assert {file.algorithm for file in found.files} == {None if algorithm == "NONE" else algorithm}
        if algorithm.startswith("SHA"):
            for file in found.files[:20]:
                assert hashlib.new(algorithm, there[file.path].read_bytes()).hexdigest() == file.checksum
        end = found.end()
        assert end is not None and end.timeline == 1 and end.end_lsn > end.start_lsn
        assert found.version == (2 if cluster.programs.version >= 17 else 1)
        assert found.system_identifier == (cluster.server.control().system_identifier if found.version == 2 else None)


def test_names_that_are_not_utf8_are_kept() -> None:
    data = _manifest([_file(**{"Path": None, "Encoded-Path": b"base/\xe9".hex()})])
    (file,) = read_manifest(data).files
    assert file.path == "base/\udce9"
    assert file.mtime == datetime(2026, 11, 23, 15, 17, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "base/../../x", "base//x", "./x", "base/.", "", "a\0b", "base/", "base/..", ".."]
)
def test_a_path_that_leaves_the_data_directory_is_refused(path: str) -> None:
    with pytest.raises(DamagedCopy, match="cannot be used"):
        read_manifest(_manifest([_file(Path=path)]))


@pytest.mark.parametrize("path", ["base/1/2.1", "a..b", "..a/b", ".hidden", "a./b"])
def test_dots_within_names_are_names(path: str) -> None:
    assert read_manifest(_manifest([_file(Path=path)])).files[0].path == path


@pytest.mark.parametrize(
    "changes",
    [
        {"Path": None},
        {"Encoded-Path": "00"},
        {"Size": -1},
        {"Size": "8192"},
        {"Size": None},
        {"Checksum": None},
        {"Checksum-Algorithm": None},
        {"Checksum-Algorithm": "MD5"},
        {"Checksum": "8a"},
        {"Path": None, "Encoded-Path": "zz"},
    ],
)
def test_an_entry_that_is_not_right_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(DamagedCopy):
        read_manifest(_manifest([_file(**changes)]))


def test_a_changed_cut_off_or_unknown_manifest_is_refused() -> None:
    data = _manifest([_file(Path="PG_VERSION"), *(_file(Path=f"base/1/{number}") for number in range(50))])
    with pytest.raises(DamagedCopy, match="damaged"):
        read_manifest(data.replace(b"PG_VERSION", b"PG_VERSIOM", 1))
    for keep in (0, 1, 100, len(data) // 2, len(data) - 3):
        with pytest.raises(DamagedCopy, match="cut off"):
            read_manifest(data[:keep])
    with pytest.raises(DamagedCopy, match="version 3"):
        read_manifest(_manifest(**{"PostgreSQL-Backup-Manifest-Version": 3}))
    with pytest.raises(DamagedCopy, match="cannot be used"):
        read_manifest(_manifest(**{"WAL-Ranges": [{"Timeline": 1, "Start-LSN": "0/X", "End-LSN": "0/1"}]}))


def test_a_hundred_thousand_files_are_read() -> None:
    found = read_manifest(_manifest([_file(Path=f"base/5/{number}") for number in range(100_000)]))
    assert len(found.files) == 100_000 and found.size() == 100_000 * 8192


_JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    max_leaves=20,
)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda data: b"{" + data + b"\n}"))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(DamagedCopy):
        read_manifest(data)


@given(st.dictionaries(st.sampled_from(["Path", "Encoded-Path", "Size", "Checksum", "Checksum-Algorithm"]), _JSON))
def test_arbitrary_entries_are_read_or_refused(changes: dict[str, Any]) -> None:
    _read_or_refuse(lambda: read_manifest(_manifest([_file(**changes)])))


@given(st.data())
def test_arbitrary_changes_are_refused_or_change_nothing(data: st.DataObject) -> None:
    original = _manifest([_file(), _file(Path="PG_VERSION")])
    place = data.draw(st.integers(0, len(original) - 3))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != original[place]))
    changed = original[:place] + bytes([byte]) + original[place + 1 :]
    if place > original.rindex(b'\n"'):  # the checksum's own line, which no checksum covers: its digits' case is free
        with suppress(DamagedCopy):
            assert read_manifest(changed) == read_manifest(original)
    else:
        with pytest.raises(DamagedCopy):
            read_manifest(changed)


def _read_or_refuse(read: Callable[[], object]) -> None:
    with suppress(DamagedCopy):
        read()
