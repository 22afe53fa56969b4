"""The runbook's last part of the database: whatever fails, production stays whole."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.mounts import mounted
from tests.paper.by_hand import commands
from tests.paper.test_runbook import desk_of, written
from tests.transfer.backups import Backups

PRODUCTION = {"PG_VERSION": "15", "postgresql.conf": "port = 1", "pg_hba.conf": "theirs"}
COPY = {"PG_VERSION": "15", "postgresql.conf": "the private one", "pg_hba.conf": "the private one"}
COPYS_OWN = {"postgresql.conf": "port = 2", "postgresql.auto.conf": "its own"}


@pytest.fixture
def page(tmp_path: Path, open_dir: Path, backups: Backups) -> str:
    copies = open_dir / "base"
    copies.mkdir()
    backups.own("plain", copies)
    return written(desk_of(tmp_path, backups.cluster, copies, backups.cluster.archive))


@pytest.fixture
def live(open_dir: Path) -> Path:
    return laid_out(open_dir / "live", PRODUCTION)


def laid_out(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(mode=0o700, parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def made_by_hand(new: Path) -> Path:
    """A copy whose recovery has come to its end, and whose server is stopped."""
    laid_out(new / "data", COPY)
    laid_out(new / "original", COPYS_OWN)
    (new / "by-hand").touch()
    return new


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text("latin-1") for path in folder.rglob("*") if path.is_file()}


def typed(script: str, new: Path, live: Path, backups: Backups, path: str = os.environ["PATH"]) -> str:
    """Into a shell that goes on after an error, as a person's does; what it said."""
    words = {"NEW": str(new), "LIVE": str(live), "AS": backups.cluster.user.name, "PATH": path}
    shell = ["/bin/sh", "-c", script]
    return subprocess.run(shell, env=words, stdout=-1, stderr=-2, text=True, timeout=60, check=False).stdout


def last_part(page: str) -> str:
    """The variables, and the part that takes production's place."""
    head, _, _ = commands(page, without="## Without this program").partition("( set -eu")
    return head + commands(page, without="5. It takes production")


def test_production_and_the_copy_change_places_once(page: str, live: Path, open_dir: Path, backups: Backups) -> None:
    new = made_by_hand(open_dir / "new")
    assert "done: it stands" in typed(last_part(page), new, live, backups)
    expected = {**COPYS_OWN, "PG_VERSION": "15"}  # without a pg_hba.conf, as it was in the backup
    assert contents(live) == expected
    [aside] = open_dir.glob("live.before-*")
    assert contents(aside) == PRODUCTION
    assert "NOT DONE: there is no copy" in typed(last_part(page), new, live, backups)
    assert contents(live) == expected and list(open_dir.glob("live.*")) == [aside]


@pytest.mark.parametrize(
    ("stands", "why"),
    [
        ("live/postmaster.pid", "a server runs in"),
        ("live.coming/PG_VERSION", "is in the way"),
        ("new/data/recovery.signal", "has not come to the end"),
    ],
)
def test_nothing_is_touched_where_the_places_cannot_be_changed(
    page: str, live: Path, open_dir: Path, backups: Backups, stands: str, why: str
) -> None:
    new = made_by_hand(open_dir / "new")
    (open_dir / stands).parent.mkdir(exist_ok=True)
    (open_dir / stands).touch()
    before = contents(open_dir)
    said = typed(last_part(page), new, live, backups)
    assert why in said and "done:" not in said
    assert contents(open_dir) == before


def test_a_mount_point_stays_whole_whether_or_not_it_is_seen(
    page: str, live: Path, open_dir: Path, backups: Backups
) -> None:
    """Without mountpoint(1) the rename fails; what is typed then goes no further, and can be typed again."""
    place, new = open_dir / "mounted", made_by_hand(open_dir / "new")
    with mounted(live, place):
        assert "is a mount point" in typed(last_part(page), new, place, backups)
        assert contents(new / "data") == COPY and contents(place) == PRODUCTION
        blind = open_dir / "blind"
        blind.mkdir()
        for program in ("id", "cp", "mv", "rm", "date", "runuser"):
            (blind / program).symlink_to(shutil.which(program) or "")
        said = typed(last_part(page), new, place, backups, str(blind))
        assert "busy" in said and "done:" not in said and contents(place) == PRODUCTION
    place.rmdir()
    assert "done: it stands" in typed(last_part(page), new, place, backups)
    assert contents(place) == {**COPYS_OWN, "PG_VERSION": "15"}


def test_a_folder_of_anothers_is_never_taken_for_the_new_one(
    page: str, live: Path, open_dir: Path, backups: Backups
) -> None:
    """All of the page, typed on and on although each part says that it is not done."""
    new = open_dir / "new"
    laid_out(new / "data", PRODUCTION)
    before = contents(open_dir)
    said = typed(commands(page), new, live, backups)
    assert "is there already" in said and "done:" not in said
    assert contents(open_dir) == before
