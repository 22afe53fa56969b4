"""SIGKILL in the middle of bringing users' files back, then resume, or rollback: nothing is lost, no third outcome.

REPRISE_TEST_SEEDS says how many seeds the slow ones take.
"""

import os
import random
import shutil
from pathlib import Path

import pytest

from engine.run.folder import read_run
from engine.run.story import Act
from tests.acts.sites import LATEST, MediaSite, carry_on, fill, make_site
from tests.end_to_end.breaking_children import PROGRAM
from tests.media.scenes import contents, same_everywhere, tree

SEEDS = range(int(os.environ.get("REPRISE_TEST_SEEDS", "1")))
STEPS = {"choose-files": 3, "copy-files": 10, "swap-files": 25}  # and about how many changes each makes


@pytest.fixture
def site(tmp_path: Path) -> MediaSite:
    """Ten files in a snapshot; live, one is damaged, one folder gone, one a folder now, and one came since."""
    site = make_site(tmp_path)
    fill(site.live, 10)
    (site.live / "3").chmod(0o2771)
    (site.live / "place").write_bytes(b"a file")
    site.snapshot()
    shutil.rmtree(site.live / "3")
    (site.live / "0/0.pdf").write_bytes(b"damaged")
    (site.live / "place").unlink()
    (site.live / "place").mkdir()
    (site.live / "place/inner").write_bytes(b"in a folder")
    (site.live / "1/new").write_bytes(b"came since")
    return site


def kill(folder: Path, step: str, number: int, act: Act = "apply") -> bool:
    """Whether the engine died of it; else it came to its end."""
    state = carry_on(folder, act, [*PROGRAM, step, str(number), act])
    assert state.outcome in ("interrupted", "completed", "rolled-back"), state.error
    return state.outcome == "interrupted"


def check_restored(site: MediaSite, before: dict[bytes, tuple[object, ...]]) -> None:
    now = contents(site.live)
    assert now[b"0/0.pdf"] == b"content of 0" and now[b"3/3.pdf"] == b"content of 3" and now[b"place"] == b"a file"
    assert len(now) == 12 and now[b"1/new"] == b"came since"
    assert (site.live / "3").stat().st_mode & 0o7777 == 0o2771
    aside = [each for each in site.home.iterdir() if ".before-" in each.name]
    assert {each[3] for each in before.values()} - {None} <= set(same_everywhere(site.live, *aside))


@pytest.mark.parametrize("delta", [False, True])
def test_killed_in_each_step_and_resumed_every_file_is_there(site: MediaSite, delta: bool) -> None:
    before = tree(site.live)
    folder = site.begin(site.plan(LATEST, delta=delta))
    for step, number in (("choose-files", 1), ("copy-files", 4), ("swap-files", 3)):
        assert kill(folder, step, number), step
    assert carry_on(folder).outcome == "completed"
    check_restored(site, before)
    assert carry_on(folder, "rollback").outcome == "rolled-back"
    assert tree(site.live) == before


@pytest.mark.parametrize("step", ["copy-files", "swap-files"])
@pytest.mark.parametrize("delta", [False, True])
def test_killed_and_rolled_back_all_is_as_it_was(site: MediaSite, delta: bool, step: str) -> None:
    before = tree(site.live)
    folder = site.begin(site.plan(LATEST, delta=delta))
    assert kill(folder, step, 4)
    assert carry_on(folder, "rollback").outcome == "rolled-back"
    assert tree(site.live) == before
    if step == "copy-files":
        assert not [each.name for each in site.home.iterdir() if "before" in each.name or each.name.startswith(".live")]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("place", ["beside", "delta", "into"])
def test_killed_at_any_change_again_and_again(site: MediaSite, place: str, seed: int) -> None:
    """Resumed after each kill to the end, and the rollback killed again and again as well."""
    before, draw = tree(site.live), random.Random(seed)
    into = site.home / "there" if place == "into" else None
    folder = site.begin(site.plan(LATEST, delta=place == "delta", into=into))
    died = 0
    for step, changes in STEPS.items():
        for _ in range(5):
            if step in {each.kind for each in read_run(folder).plan.steps}:
                died += kill(folder, step, draw.randint(1, changes)) if read_run(folder).outcome != "completed" else 0
    assert died > 5
    if read_run(folder).outcome != "completed":
        assert carry_on(folder).outcome == "completed"
    if into is not None:
        assert len(contents(into)) == 11 and tree(site.live) == before
        return
    check_restored(site, before)
    for number in (1, 2, 3, 5, 8):
        if read_run(folder).outcome != "rolled-back":
            kill(folder, "swap-files", number, "rollback")
    if read_run(folder).outcome != "rolled-back":
        assert carry_on(folder, "rollback").outcome == "rolled-back"
    assert tree(site.live) == before
