"""Repositories of restic and borg on another server (sshd on loopback), listed and fetched from like those on this
one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.catalog.media import read_media
from engine.media.sources import open_snapshot
from engine.site import MediaRepository
from tests.media.foreign import borg_of, entries_of, fetched, needs, restic_of
from tests.remote.sshd import Sshd, running_sshd


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as sshd:
        yield sshd


@pytest.fixture
def media(tmp_path: Path) -> Path:
    media = tmp_path / "media"
    (media / "2026").mkdir(parents=True)
    for name in ("a.pdf", "b b.pdf"):
        (media / "2026" / name).write_text(name)
    return media


def _all_comes_back(repository: MediaRepository, media: Path, place: Path) -> None:
    found = read_media(repository, repository.path, media_path=str(media))
    assert found.problems == []
    (snapshot,) = found.snapshots
    files = open_snapshot(snapshot, repository, str(media))
    assert [(each.kind, each.path) for each in entries_of(files)] == [
        ("d", b"2026"), ("f", b"2026/a.pdf"), ("f", b"2026/b b.pdf")
    ]  # fmt: skip
    assert fetched(files, place, [b"2026/a.pdf", b"2026/b b.pdf"]) == {
        b"2026/a.pdf": b"a.pdf", b"2026/b b.pdf": b"b b.pdf"
    }  # fmt: skip


def test_restic_over_sftp(sshd: Sshd, media: Path, tmp_path: Path) -> None:
    needs("restic")
    local = restic_of(media, tmp_path)
    program = tmp_path / "restic-there" / "restic"  # as an operator's ~/.ssh/config would say it
    program.parent.mkdir()
    user, _, place = sshd.place(Path(local.path)).removeprefix("ssh://").partition("@")
    host = place.split(":", 1)[0]
    program.write_text(
        f'#!/bin/sh\nexec restic -o sftp.command="{sshd.rsh} -p {sshd.port} {user}@{host} -s sftp" "$@"\n'
    )
    program.chmod(0o755)
    there = MediaRepository("restic", f"sftp:{user}@{host}:{local.path}", password_file=local.password_file,
                            program=str(program))  # fmt: skip
    _all_comes_back(there, media, tmp_path / "fetched")


def test_borg_over_ssh(sshd: Sshd, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("borg")
    local = borg_of(media, tmp_path)
    monkeypatch.setenv("BORG_RSH", sshd.rsh)
    _all_comes_back(
        MediaRepository("borg", sshd.place(Path(local.path)), password_file=local.password_file),
        media,
        tmp_path / "fetched",
    )
