"""Users' files brought back by runs of the real engine from repositories of the real restic, borg and rsync: whatever
they are called, wherever the engine is killed, and where a repository is damaged or goes away."""

import os
import shutil
from pathlib import Path

import pytest

from engine.records.runs import RunState
from engine.run.folder import read_run
from tests.acts.sites import LATEST, MediaSite, carry_on, write_site
from tests.end_to_end.breaking_children import PROGRAM
from tests.media.foreign import borg_of, damage, make_media, needs, restic_of, run
from tests.media.scenes import contents, same_everywhere, tree

KINDS = ["restic", "borg", "rsync"]


def keep(home: Path, kind: str, **keys: str) -> MediaSite:
    """A site whose live folder, which is there already, that program keeps."""
    live, place = home / "live", home / "kept"
    place.mkdir()
    if kind == "rsync":
        run("rsync", "-aX", f"{live}/", f"{place}/2026-11-23_0400/")
        lines = [f'path = "{place}"']
    else:
        needs(kind)
        made = (restic_of if kind == "restic" else borg_of)(live, place, **keys)
        lines = [f'path = "{made.path}"', f'password_file = "{made.password_file}"']
    write_site(home, media="\n".join(["[[media.repository]]", f'kind = "{kind}"', *lines]))
    return MediaSite(home)


def shape(root: Path, kind: str) -> dict[bytes, tuple[object, ...]]:
    """All but times, which borg rounds, and the link that restic before 0.16.3 did not keep."""
    return {path: each for path, each in tree(root, times=False).items() if (kind, path) != ("restic", b"odd link")}


@pytest.mark.slow
@pytest.mark.parametrize("delta", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_killed_in_each_step_and_resumed_every_file_is_there_and_a_rollback_takes_it_back(
    tmp_path: Path, kind: str, delta: bool
) -> None:
    live = make_media(tmp_path / "live")
    (live / "pipe").unlink()
    site, right = keep(tmp_path, kind), shape(live, kind)
    shutil.rmtree(live / "2026")
    (live / "# $HOME").write_bytes(b"A COMMENT")
    (live / "empty").rmdir()
    (live / "came since").write_bytes(b"x")
    before = tree(live)
    folder = site.begin(site.plan(LATEST, delta=delta))
    died = 0
    for step, numbers in (
        ("choose-files", (1,)),
        ("copy-files", (2, 5, 8)),
        ("swap-files", (1, 3)),
        ("check-files", (1,)),
    ):
        for number in numbers:
            if read_run(folder).outcome != "completed":
                state = carry_on(folder, "apply", [*PROGRAM, step, str(number), "apply"])
                assert state.outcome in ("interrupted", "completed"), state.error
                died += state.outcome == "interrupted"
    assert died >= 4
    if read_run(folder).outcome != "completed":
        assert carry_on(folder).outcome == "completed"
    now = shape(live, kind)
    assert now.pop(b"came since")[3] == b"x"
    assert now == right
    asides = [each for each in tmp_path.iterdir() if each.name.startswith("live.before-")]
    assert {each[3] for each in before.values()} - {None} <= set(same_everywhere(live, *asides))
    assert carry_on(folder, "rollback").outcome == "rolled-back"
    assert tree(live) == before


@pytest.mark.parametrize("kind", ["restic", "borg"])
def test_a_damaged_piece_costs_its_files_which_are_listed_and_all_others_come_back(tmp_path: Path, kind: str) -> None:
    live = tmp_path / "live"
    live.mkdir()
    for number in range(6):
        (live / f"{number}").write_bytes(os.urandom(8 << 20) if number == 3 else b"good %d" % number)
    site = keep(tmp_path, kind, **({"encryption": "none"} if kind == "borg" else {}))
    right = contents(live)
    if kind == "borg":
        damage(tmp_path / "kept/borg/data", (live / "3").read_bytes())
    else:
        packs = sorted((tmp_path / "kept/restic/data").rglob("*"), key=lambda each: each.stat().st_size)
        packs[-1].chmod(0o600)
        with packs[-1].open("r+b") as file:
            file.seek(1000)
            file.write(b"damage")
    shutil.rmtree(live)
    live.mkdir()
    state = site.restore(LATEST)
    assert state.outcome == "completed" and state.files is not None
    lost = [each["path"] for each in state.files["unrecoverable_sample"]]
    assert 1 <= len(lost) <= 2 and (kind == "restic" or lost == ["3"])  # a pack of restic's may hold another one, too
    assert contents(live) == {path: content for path, content in right.items() if os.fsdecode(path) not in lost}
    assert {check.name: check.ok for check in state.checks}["files"] is False


@pytest.mark.parametrize("kind", KINDS)
def test_a_repository_that_goes_away_stops_the_run_with_a_way_on_and_back_again_it_goes_on(
    tmp_path: Path, kind: str
) -> None:
    live = tmp_path / "live"
    live.mkdir()
    (live / "file").write_bytes(b"content")
    site = keep(tmp_path, kind)
    (live / "file").write_bytes(b"CONTENT")
    before = tree(live)
    folder = site.begin(site.plan(LATEST))
    kept, away = tmp_path / "kept", tmp_path / "away"
    for path, there in ((kept, False), (away, True)):
        path.rename(away if path == kept else kept)
        state: RunState = carry_on(folder)
        if there:
            assert state.outcome == "completed" and contents(live) == {b"file": b"content"}
        else:
            assert state.outcome == "failed" and state.error is not None and state.error.remedy
            assert "resume" in state.answers and "rollback" in state.answers
            assert tree(live) == before
