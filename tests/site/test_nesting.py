"""Places that must be apart: refused by both their keys, however they are written."""

from pathlib import Path

import msgspec
import pytest

from engine.records.errors import SiteError
from engine.site import read_site, write_site
from engine.site.nesting import clashes, written_in
from engine.site.tables import (
    Database,
    DatabaseRepository,
    Environment,
    Identity,
    Media,
    MediaRepository,
    Proof,
    Site,
    Source,
)

FIRST = DatabaseRepository("directory", "/b/base", "/b/wal", "/b/dumps")
SITE = Site(
    Identity("archive"),
    Database("/var/lib/pg", [FIRST, DatabaseRepository("directory", "/c/base", "/c/wal", "/c/dumps")]),
    Media(
        "/srv/media",
        [MediaRepository("directory", "/b/media"), MediaRepository("restic", "/b/restic", password_file="/root/key")],
    ),
    [Source("/srv/src", mirror="/b/source/docs.git")],
    Environment("/b/image", path="/srv/docs"),
    proof=Proof("/srv/proofs"),
)


def changed(where: str, path: str) -> Site:
    """The site with one path replaced; ``where`` is the key as the error names it."""
    site = msgspec.to_builtins(SITE)
    table = site
    *way, last = where.replace("[", ".").replace("]", "").split(".")
    for step in way:
        table = table[int(step) if step.isdigit() else step]
    table[last] = path
    return msgspec.convert(site, Site)


@pytest.mark.parametrize(
    "where, path, other",
    [
        ("database.repository[1].wal", "/b/wal", "database.repository[0].wal"),
        ("database.repository[1].wal", "/b//wal/", "database.repository[0].wal"),
        ("database.repository[1].wal", "/c/../b/./wal", "database.repository[0].wal"),
        ("database.repository[1].wal", "//b/wal", "database.repository[0].wal"),
        ("database.repository[1].wal", "/b/wal/two", "database.repository[0].wal"),
        ("database.repository[1].wal", "/b", "database.repository[0].base_backups"),
        ("database.repository[1].base_backups", "/b/base", "database.repository[0].base_backups"),
        ("database.repository[1].dumps", "/b/base/dumps", "database.repository[0].base_backups"),
        ("media.repository[0].path", "/b/base", "database.repository[0].base_backups"),
        ("media.repository[0].path", "/b/wal/media", "database.repository[0].wal"),
        ("media.repository[0].path", "/srv/media", "media.path"),
        ("media.repository[0].path", "/srv/media/.copies", "media.path"),
        ("media.repository[1].path", "/srv/media/.restic", "media.path"),
        ("media.path", "/b/media/live", "media.repository[0].path"),
        ("database.repository[0].wal", "/var/lib/pg/archive", "database.data_dir"),
        ("media.repository[0].path", "/var/lib/pg/copies", "database.data_dir"),
        ("source[0].mirror", "/var/lib/pg/docs.git", "database.data_dir"),
        ("environment.store", "/var/lib/pg", "database.data_dir"),
        ("proof.into", "/var/lib/pg/proofs", "database.data_dir"),
        ("proof.into", "/b/base", "database.repository[0].base_backups"),
        ("proof.into", "/srv/media/proofs", "media.path"),
    ],
)
def test_places_that_must_be_apart_are_refused_by_both_their_keys_and_never_written(
    tmp_path: Path, where: str, path: str, other: str
) -> None:
    site = changed(where, path)
    with pytest.raises(SiteError) as caught:
        write_site(site, tmp_path / "site.toml")
    assert where in caught.value.message and other in caught.value.message
    assert not (tmp_path / "site.toml").exists()


def test_what_only_begins_alike_is_apart_and_one_repository_may_hold_its_own_folders(tmp_path: Path) -> None:
    write_site(changed("database.repository[1].wal", "/b/wal2"), tmp_path / "one.toml")
    write_site(changed("database.repository[0].wal", "/b/base/wal"), tmp_path / "two.toml")
    restic = changed("media.repository[1].path", "rest:https://host/srv/media")
    assert list(clashes(restic)) == []
    assert read_site(tmp_path / "two.toml") == changed("database.repository[0].wal", "/b/base/wal")


def test_a_path_lies_in_itself_and_in_all_above_it() -> None:
    assert written_in("/a/b", "/a/b/") and written_in("/a/b", "/") and written_in("/", "/")
    assert not written_in("/a", "/a/b") and not written_in("/ab", "/a")
