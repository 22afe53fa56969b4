"""Archived WAL on another server: added, never replaced, found where it rots. A real sshd on loopback."""

import struct
import subprocess
from pathlib import Path

import pytest

from engine.records.errors import DamagedCopy
from engine.remote import wal as archive
from engine.remote.places import RemotePlace
from engine.remote.wal import push_wal, refuse_short
from tests.remote.wrapping import silent, wrapped_rsync

MIB = 1 << 20


def test_wal_is_added_and_never_replaced_and_drafts_stay_here(vault: tuple[RemotePlace, Path], tmp_path: Path) -> None:
    place, folder = vault[0].below("wal"), vault[1] / "wal"
    wal = tmp_path / "wal"
    wal.mkdir()
    one = wal / "000000010000000000000001"
    one.write_bytes(b"1" * MIB)
    (wal / ".draft-x").write_bytes(b"half")
    (wal / "000000010000000000000002.partial").write_bytes(b"half")
    assert push_wal(wal, place, silent).short == []
    assert [path.name for path in folder.iterdir()] == [one.name]
    adopted = wal / f"{one.name}.partial"
    adopted.write_bytes(b"1")
    assert push_wal(wal, place, silent).sent == [one.name, adopted.name]
    one.write_bytes(b"2" * MIB)
    with pytest.raises(DamagedCopy) as caught:
        push_wal(wal, place, silent)
    assert one.name in (caught.value.cause or "")
    assert (folder / one.name).read_bytes() == b"1" * MIB


def flipped(path: str) -> str:
    """Shell: one byte of a file becomes another, its size and time stay."""
    return f'touch -r "{path}" "{path}.t"; printf X | dd of="{path}" bs=1 seek=7 conv=notrunc 2>/dev/null; ' + (
        f'touch -r "{path}.t" "{path}"; rm "{path}.t"'
    )


def test_wal_that_did_not_arrive_as_it_was_sent_is_found(
    vault: tuple[RemotePlace, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, folder, wal = vault[0].below("garbled"), vault[1] / "garbled", tmp_path / "wal"
    wal.mkdir()
    for number in (1, 2):
        (wal / f"00000001000000000000000{number}").write_bytes(b"1" * MIB)
    monkeypatch.setattr(archive, "_SAMPLE", 0)
    assert push_wal(wal, place, silent).short == []
    strange = "0 \\#134 \udcff\n.00000020.backup"
    (wal / strange).write_bytes(b"1" * MIB)
    garble = f"set -- '{folder}'/*134*; {flipped('$1')}"
    wrapped_rsync(tmp_path, monkeypatch, f'$rsync "$@" || exit; case "$*" in *--ignore-existing*) {garble};; esac')
    with pytest.raises(DamagedCopy, match="is not what") as caught:
        push_wal(wal, place, silent)
    assert "1 files differ" in (caught.value.cause or "")


def test_wal_that_rots_there_is_found_when_its_turn_comes(vault: tuple[RemotePlace, Path], tmp_path: Path) -> None:
    place, folder = vault[0].below("rotten"), vault[1] / "rotten"
    (tmp_path / "000000010000000000000001").write_bytes(b"1" * MIB)
    push_wal(tmp_path, place, silent)
    subprocess.run(["sh", "-c", flipped(str(folder / "000000010000000000000001"))], check=True)
    with pytest.raises(DamagedCopy):
        push_wal(tmp_path, place, silent)


def test_of_wal_that_was_there_only_a_sample_is_read_again(
    vault: tuple[RemotePlace, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, wal, told = vault[0].below("sample"), tmp_path / "wal", tmp_path / "told"
    wal.mkdir()
    for number in range(archive._SAMPLE + 4):
        (wal / f"0000000100000000000000{number:02X}").write_bytes(b"1" * MIB)
    push_wal(wal, place, silent)
    (wal / "0000000100000000000000FF").write_bytes(b"1" * MIB)
    count = f"tee '{told}.one' | $rsync \"$@\"; code=$?; tr '\\0' '\\n' <'{told}.one' >'{told}'; exit $code"
    wrapped_rsync(tmp_path, monkeypatch, f'case "$*" in *--checksum*) {count};; esac; exec $rsync "$@"')
    push_wal(wal, place, silent)
    names = told.read_text().split()
    assert len(names) == archive._SAMPLE + 1 and "0000000100000000000000FF" in names


def test_a_segment_that_is_too_short_is_not_sent_and_said_so_and_all_else_is(
    vault: tuple[RemotePlace, Path], tmp_path: Path
) -> None:
    place, folder = vault[0].below("short"), vault[1] / "short"
    wal = tmp_path / "wal"
    (wal / "0000000100000000").mkdir(parents=True)
    head = struct.pack("<HHIQI4xQII", 0xD10D, 2, 1, 1 << 24, 0, 7, 16 * MIB, 8192)
    (wal / "000000010000000000000001").write_bytes(head.ljust(16 * MIB, b"\0"))
    (wal / "000000010000000000000002").write_bytes(head.ljust(8 * MIB, b"\0"))
    (wal / "000000010000000000000003").write_bytes(b"")
    (wal / "000000010000000000000004").write_bytes(b"\x28\xb5\x2f\xfd packed")
    (wal / "0000000100000000" / "00000002.history").write_bytes(b"1")
    short = push_wal(wal, place, silent).short
    assert short == ["000000010000000000000002", "000000010000000000000003"]
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        "0000000100000000/00000002.history", "000000010000000000000001", "000000010000000000000004",
    ]  # fmt: skip
    with pytest.raises(DamagedCopy, match="shorter than a segment"):
        refuse_short(short)


def test_a_short_segment_that_is_there_already_is_found(vault: tuple[RemotePlace, Path], tmp_path: Path) -> None:
    place, folder = vault[0].below("short-there"), vault[1] / "short-there"
    (tmp_path / "000000010000000000000001").write_bytes(b"1" * MIB)
    folder.mkdir()
    (folder / "000000010000000000000001").write_bytes(b"1")
    with pytest.raises(DamagedCopy):
        push_wal(tmp_path, place, silent)
    assert (folder / "000000010000000000000001").read_bytes() == b"1"
