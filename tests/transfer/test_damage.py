"""Backups that are not what their manifests say: each ends the copy, with the file's name, and nothing can start."""

import gzip
import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.records.copies import BaseBackup
from engine.records.errors import DamagedCopy, RunFailed
from engine.transfer.ledger import LEDGER
from engine.transfer.passing import Order, Tally, carry
from tests.transfer.backups import Backups, files_of, make_copy, rewrite


def refused(backups: Backups, kind: str, folder: Path, spoil: Callable[[Path], object]) -> DamagedCopy:
    """The error with which the copy of a spoilt backup ends."""
    source = backups.own(kind, folder)
    spoil(source.path)
    with pytest.raises(DamagedCopy) as raised:
        make_copy(source, folder / "copy", backups.oid)
    assert not (folder / "copy/global/pg_control").exists()
    assert not (folder / "copy/global/pg_control.reprise").exists()
    return raised.value


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    rewrite(path, bytes(data))


def largest(folder: Path) -> Path:
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


@pytest.mark.parametrize("kind", ["plain", "sha256"])
def test_a_flipped_bit_in_a_plain_backup_names_the_file(backups: Backups, open_dir: Path, kind: str) -> None:
    spoilt: list[Path] = []

    def spoil(backup: Path) -> None:
        spoilt.append(largest(backup / "base"))
        flip(spoilt[0], spoilt[0].stat().st_size // 2)

    error = refused(backups, kind, open_dir, spoil)
    assert spoilt[0].name in error.message
    assert error.cause is not None and ("SHA256" if kind == "sha256" else "CRC32C") in error.cause
    assert error.remedy


def test_a_flipped_bit_in_a_tablespace_is_found(backups: Backups, open_dir: Path) -> None:
    def spoil(backup: Path) -> None:
        file = largest((backup / "pg_tblspc" / str(backups.oid)).resolve())
        flip(file, 5000)

    assert f"pg_tblspc/{backups.oid}/" in refused(backups, "plain", open_dir, spoil).message


def test_a_flipped_bit_in_a_tar_names_the_file_inside(backups: Backups, open_dir: Path) -> None:
    def spoil(backup: Path) -> None:
        with tarfile.open(backup / "base.tar") as archive:
            member = max(archive, key=lambda member: member.size if member.name.startswith("base/") else 0)
        flip(backup / "base.tar", member.offset_data + member.size // 2)

    assert ": base/" in refused(backups, "tar", open_dir, spoil).message


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.lz4", "tar.zst"])
def test_a_flipped_bit_in_an_archive_is_found_or_changes_nothing(backups: Backups, open_dir: Path, kind: str) -> None:
    """Not every bit counts: in a run of zeros a match may as well reach further back, and padding is not looked at
    (about one bit in a hundred). What must never be is a copy that is not the backup."""
    if not backups.has(kind):
        pytest.skip(f"this PostgreSQL cannot write {kind}")
    source = backups.own(kind, open_dir)
    archive = next(source.path.glob("base.tar*"))
    whole = archive.read_bytes()
    right = carried(source, backups.oid, open_dir / "copy")
    found = 0
    for twelfth in range(1, 12):
        flip(archive, len(whole) * twelfth // 12)
        try:
            assert carried(source, backups.oid, open_dir / "copy") == right
        except DamagedCopy:
            found += 1
            assert not (open_dir / "copy/global/pg_control.reprise").exists()
        rewrite(archive, whole)
    assert found > 5


def carried(source: BaseBackup, oid: int, into: Path) -> dict[str, str]:
    """The files of a copy made as the worker process makes it, in this one."""
    place = Path(f"{into}-{oid}")
    for folder in (into, place):
        shutil.rmtree(folder, ignore_errors=True)
    carry(Order(str(source.path), source.format, str(into), {oid: str(place)}, None, True), Tally(lambda: None))
    (into / LEDGER).unlink()
    return files_of(into) | {f"{oid}/{name}": what for name, what in files_of(place).items()}


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.lz4", "tar.zst"])
def test_a_cut_off_archive_is_found(backups: Backups, open_dir: Path, kind: str) -> None:
    if not backups.has(kind):
        pytest.skip(f"this PostgreSQL cannot write {kind}")

    def spoil(backup: Path) -> None:
        archive = next(backup.glob("base.tar*"))
        rewrite(archive, archive.read_bytes()[: archive.stat().st_size // 3])

    error = refused(backups, kind, open_dir, spoil)
    assert "base.tar" in error.message


def test_a_missing_file_is_named(backups: Backups, open_dir: Path) -> None:
    error = refused(backups, "plain", open_dir, lambda backup: (backup / "PG_VERSION").unlink())
    assert "lacks PG_VERSION" in error.message


def test_a_missing_file_of_a_tar_is_named(backups: Backups, open_dir: Path) -> None:
    error = refused(backups, "tar", open_dir, lambda backup: repack(backup, without="backup_label"))
    assert "lacks backup_label" in error.message


def test_a_missing_tablespace_archive_is_named(backups: Backups, open_dir: Path) -> None:
    error = refused(backups, "tar", open_dir, lambda backup: (backup / f"{backups.oid}.tar").unlink())
    assert str(backups.oid) in error.message


def test_a_file_too_many_is_named(backups: Backups, open_dir: Path) -> None:
    error = refused(backups, "plain", open_dir, lambda backup: (backup / "base/99999").write_bytes(b"new"))
    assert "base/99999" in error.message
    assert error.cause is not None and "manifest" in error.cause


def test_a_file_that_is_too_long_is_named(backups: Backups, open_dir: Path) -> None:
    error = refused(backups, "plain", open_dir, lambda backup: rewrite(backup / "PG_VERSION", b"x" * 20))
    assert "PG_VERSION" in error.message
    assert error.cause is not None and "20 bytes" in error.cause


def test_a_damaged_manifest_ends_the_copy(backups: Backups, open_dir: Path) -> None:
    error = refused(backups, "plain", open_dir, lambda backup: flip(backup / "backup_manifest", 400))
    assert "manifest" in error.message


def test_a_link_that_is_no_tablespaces_is_not_followed(backups: Backups, open_dir: Path) -> None:
    (open_dir / "secret").write_text("secret")

    def spoil(backup: Path) -> None:
        (backup / "PG_VERSION").unlink()
        (backup / "PG_VERSION").symlink_to(open_dir / "secret")

    assert "PG_VERSION" in refused(backups, "plain", open_dir, spoil).message


def test_a_pipe_in_a_backup_does_not_hang_the_copy(backups: Backups, open_dir: Path) -> None:
    assert "pipe" in refused(backups, "plain", open_dir, lambda backup: os.mkfifo(backup / "pipe")).message


def test_no_backup_without_its_label_even_where_no_manifest_asks_for_it(backups: Backups, open_dir: Path) -> None:
    def spoil(backup: Path) -> None:
        (backup / "backup_manifest").unlink()
        (backup / "backup_label").unlink()

    assert "lacks backup_label" in refused(backups, "plain", open_dir, spoil).message


def test_a_tablespace_without_a_place_is_no_guess(backups: Backups, open_dir: Path) -> None:
    for kind in ("plain", "tar"):
        with pytest.raises(RunFailed, match=str(backups.oid)):
            make_copy(backups.backup(kind), open_dir / kind, None)


# Hostile archives


def hostile(name: str, type: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = type, target
    member.size = 4 if type == tarfile.REGTYPE else 0
    return member


HOSTILE = {
    "absolute": [hostile("/{out}/evil")],
    "dots": [hostile("../evil")],
    "dots inside": [hostile("base/../../evil")],
    "link, then through it": [hostile("base/l", tarfile.SYMTYPE, "{out}"), hostile("base/l/evil")],
    "tablespace link, then through it": [
        hostile("pg_tblspc/{oid}", tarfile.SYMTYPE, "{out}"),
        hostile("pg_tblspc/{oid}/../../../evil"),
    ],
    "tablespace of nobody": [hostile("pg_tblspc/77777", tarfile.SYMTYPE, "{out}")],
    "tablespace as a file": [hostile("pg_tblspc/{oid}")],
    "hard link": [hostile("base/h", tarfile.LNKTYPE, "{out}/there")],
    "device": [hostile("base/d", tarfile.CHRTYPE)],
    "pipe": [hostile("base/p", tarfile.FIFOTYPE)],
    "twice": [hostile("base/twice"), hostile("base/twice")],
    "file and folder": [hostile("base/x"), hostile("base/x/y")],
    "long name": [hostile("a" * 300)],
    "our own list": [hostile(".reprise-copy")],
}


@pytest.mark.parametrize("how", HOSTILE)
@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_hostile_entry_leaves_no_trace_outside(open_dir: Path, how: str, format: int) -> None:
    out = open_dir / "out"
    out.mkdir()
    (out / "there").write_text("there")
    oid = 16384
    source = BaseBackup(id="hostile", repository="r", path=open_dir / "backup", format="tar")
    source.path.mkdir()
    members = [
        hostile(member.name.format(out=out, oid=oid), member.type, member.linkname.format(out=out))
        for member in HOSTILE[how]
    ] + [hostile(name) for name in ("PG_VERSION", "backup_label", "global/pg_control")]
    try:
        with tarfile.open(source.path / "base.tar", "w", format=format) as archive:
            for member in members:
                archive.addfile(member, io.BytesIO(b"evil") if member.isreg() else None)
    except ValueError:
        pytest.skip("this tar format cannot say such a thing")
    tarfile.open(source.path / f"{oid}.tar", "w").close()
    before = sorted(path.name for path in open_dir.iterdir())
    order = Order(str(source.path), "tar", str(open_dir / "copy"), {oid: str(open_dir / f"copy-{oid}")}, None, True)
    with pytest.raises((DamagedCopy, RunFailed)):
        carry(order, Tally(lambda: None))  # as the worker process does
    ours = {"copy", f"copy-{oid}"}
    assert sorted(path.name for path in open_dir.iterdir() if path.name not in ours) == before
    assert [path.name for path in out.iterdir()] == ["there"]
    assert (out / "there").stat().st_nlink == 1
    assert not (open_dir / "copy/global/pg_control.reprise").exists()


def test_an_archive_packed_again_by_another_tar_is_read(backups: Backups, open_dir: Path) -> None:
    for number, format in enumerate((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)):
        folder = open_dir / str(number)
        folder.mkdir()
        source = backups.own("tar", folder)
        repack(source.path, format=format, prefix="./")
        plain = source.path / "base.tar"
        (source.path / "base.tar.gz").write_bytes(gzip.compress(plain.read_bytes(), 1))
        plain.unlink()
        assert make_copy(source, folder / "copy", backups.oid).verified


def repack(
    backup: Path,
    *,
    without: str = "",
    format: int = tarfile.USTAR_FORMAT,
    prefix: str = "",
) -> None:
    """base.tar written anew, without one of its members."""
    old = backup / "old.tar.saved"
    shutil.move(backup / "base.tar", old)
    with (
        tarfile.open(old, encoding="utf-8", errors="surrogateescape") as source,
        tarfile.open(backup / "base.tar", "w", format=format, encoding="utf-8", errors="surrogateescape") as into,
    ):
        for member in source:
            if member.name != without:
                member.name = prefix + member.name
                into.addfile(member, source.extractfile(member) if member.isreg() else None)
    old.unlink()
