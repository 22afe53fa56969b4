"""The repository's disk fills up while a copy is taken into it: that is said, nothing half done is listed, and room
mends it. (Base backups: `test_taking_base_backups`.)"""

import os
from pathlib import Path

import pytest

from engine import acts
from engine.run.folder import read_run
from tests.acts.sites import carry_on, make_site
from tests.end_to_end.mounts import MB, fill_disk, small_disk


@pytest.mark.parametrize("kind", ["media", "image"])
def test_a_disk_that_fills_up_is_named_nothing_half_done_is_listed_and_room_mends_it(tmp_path: Path, kind: str) -> None:
    (tmp_path / "srv").mkdir()
    site = make_site(tmp_path, f'[environment]\npath = "{tmp_path}/srv"\nstore = "{tmp_path}/copies"')
    for number in range(12):
        (tmp_path / ("live" if kind == "media" else "srv") / f"{number}.pdf").write_bytes(os.urandom(MB))
    plan = {"media": acts.plan_media_snapshot, "image": acts.plan_image}[kind]

    def listed() -> list[str]:
        catalog = acts.look(site.desk).catalog
        return [each.id for each in (*catalog.media_snapshots, *catalog.images)]

    with small_disk(tmp_path / "copies", tmp_path / "copies.img", 32) as disk:
        before = sorted(path.name for path in disk.iterdir())
        ballast = fill_disk(disk, leave=4 * MB)
        for _ in range(2):
            run = site.begin(plan(site.desk))
            state = carry_on(run)
            assert state.outcome == "failed" and state.error is not None
            assert "no room is left for the copy" in state.error.message
            assert str(disk) in (state.error.cause or "") and "make room" in (state.error.remedy or "")
            assert listed() == []
            assert carry_on(run, "rollback").outcome == "rolled-back"  # while the disk is full
            assert sorted(path.name for path in disk.iterdir()) == sorted([*before, ballast.name])
        run = site.begin(plan(site.desk))
        assert carry_on(run).outcome == "failed"
        ballast.unlink()
        assert carry_on(run).outcome == "completed"
        copy = read_run(run).taken
        assert copy is not None and listed() == [copy.id]
        assert all(proof.ok for proof in acts.verify(site.desk))
        assert not [path for path in disk.iterdir() if path.name.startswith(".")]
