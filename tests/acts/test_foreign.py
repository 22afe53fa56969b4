"""What the acts do with snapshots that another program keeps."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.acts.copying import plan_media_snapshot
from engine.acts.desk import Desk, open_desk
from engine.acts.keeping import expire
from engine.acts.looking import look
from engine.acts.proving import proofs, verify
from engine.acts.watching import status
from engine.records.errors import UsageError
from tests.acts.sites import write_site
from tests.media.foreign import borg_of, needs, restic_of


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A site whose files are kept by rsync, restic and borg, and not by us."""
    needs("restic")
    needs("borg")
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "card.pdf").write_text("card")
    for days in (1, 400):
        folder = tmp_path / "dated" / f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%d_%H%M}"
        folder.mkdir(parents=True)
        (folder / "card.pdf").write_text("card")
    for name in ("r", "b"):
        (tmp_path / name).mkdir()
    restic, borg = restic_of(tmp_path / "live", tmp_path / "r"), borg_of(tmp_path / "live", tmp_path / "b")
    media = f"""
[[media.repository]]
kind = "rsync"
path = "{tmp_path}/dated"
[[media.repository]]
kind = "restic"
path = "{restic.path}"
password_file = "{restic.password_file}"
[[media.repository]]
kind = "borg"
path = "{borg.path}"
password_file = "{borg.password_file}"
"""
    rules = '[policy]\nfiles = "1h"\n[retention]\nmedia = { daily = 1 }\n'
    return open_desk(write_site(tmp_path, media=media, more=rules), tmp_path / "state")


def test_they_are_listed_counted_and_never_touched(desk: Desk, tmp_path: Path) -> None:
    before = sorted(os.fspath(each) for each in tmp_path.rglob("*") if "state" not in each.parts)
    catalog = look(desk).catalog
    assert catalog.problems == () and len(catalog.media_snapshots) == 4
    assert {each.repository for each in catalog.media_snapshots} == {each.path for each in desk.site.media.repository}  # type: ignore[union-attr]
    expiry = expire(desk, apply=True)
    assert not expiry.leaving and not [each for each in expiry.staying if each.kind == "media"]
    files = next(each for each in status(desk).things if each.name == "files")
    assert files.age_seconds is not None and files.age_seconds < 600
    assert any("on the device of what it protects" in each for each in files.findings)
    found = {proof.id: proof for proof in verify(desk) if proof.kind == "media"}
    assert len(found) == 4 and all(proof.ok is None for proof in found.values())
    told = " ".join(finding for proof in found.values() for finding in proof.findings)
    assert "restic check" in told and "borg check" in told and "no catalogue" in told
    assert not [proof for proof in proofs(desk, look(desk).catalog) if proof.kind == "media"]
    after = sorted(os.fspath(each) for each in tmp_path.rglob("*") if "state" not in each.parts)
    assert after == before
    assert "correct horse" not in "".join(
        each.read_bytes().decode("latin-1") for each in (tmp_path / "state").rglob("*") if each.is_file()
    )


def test_no_snapshot_is_taken_into_them(desk: Desk) -> None:
    with pytest.raises(UsageError, match="no media repository"):
        plan_media_snapshot(desk)
