"""A copy that is damaged in its draft, after it was taken, never gets its name."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.backup.image import plan_image
from engine.backup.media import plan_media
from engine.backup.planning import Place
from engine.records.errors import DamagedCopy
from engine.records.plan import Plan
from engine.site import Database, DatabaseRepository, Identity, Site
from engine.steps import step_module
from engine.system.users import current_user
from tests.media.test_verifying import flip
from tests.steps.rehearsal import Rehearsal

NOW = datetime(2026, 11, 27, tzinfo=UTC)
ID = "20261127T000000Z"


@pytest.fixture
def live(tmp_path: Path) -> Path:
    live = tmp_path / "live"
    (live / "2026").mkdir(parents=True)
    for name in ("a.pdf", "b.pdf"):
        (live / "2026" / name).write_bytes(name.encode() * 1000)
    (tmp_path / "copies").mkdir()
    return live


def plan_of(kind: str, live: Path) -> Plan:
    place = Place(str(live.with_name("copies")), None, True, True)
    if kind == "media":
        return plan_media("tests", str(live), True, place, [], owner=current_user(), now=NOW)
    form = kind.removeprefix("image ")
    origin = live if form == "packed" else live / "2026/a.pdf"
    return plan_image("tests", str(origin), form, True, [], [], place, owner=current_user(), now=NOW)


def carry_out(plan: Plan, between: Callable[[Path], object]) -> Rehearsal:
    """The plan's steps but the report; ``between`` is done to the draft when the copy is taken."""
    assert plan.copying is not None
    site = Site(Identity("tests"), Database("/nowhere", [DatabaseRepository("directory", "/nowhere", "/nowhere")]))
    step = Rehearsal(plan, site, Path("/runs/this"))
    for number, planned in enumerate(plan.steps[:-1]):
        step.args, step.undo_records = planned.args, []
        step_module(planned.kind).apply(step)
        if number == 0:
            between(Path(plan.copying.draft))
    return step


@pytest.mark.parametrize("kind", ["media", "image packed", "image registered"])
def test_an_undamaged_copy_is_read_back_and_gets_its_name(live: Path, kind: str) -> None:
    plan = plan_of(kind, live)
    step = carry_out(plan, lambda draft: None)
    assert plan.copying is not None
    assert Path(plan.copying.path).exists()
    if kind != "image registered":  # of which nothing was written
        assert step.facts["verified"] is True
        done, total, _ = step.progresses[-1]
        assert done == total > 0


@pytest.mark.parametrize(
    ("kind", "harm", "told"),
    [
        ("media", lambda draft: flip(draft / ID / "2026/b.pdf"), "2026/b.pdf has other content"),
        ("media", lambda draft: (draft / ID / "2026/b.pdf").unlink(), "2026/b.pdf is missing"),
        ("media", lambda draft: flip(draft / f"{ID}.catalogue.zst"), "catalogue"),
        ("image packed", lambda draft: flip(draft / f"{ID}.tar.zst"), "has the SHA-256"),
        ("image packed", lambda draft: (draft / f"{ID}.tar.zst").write_bytes(b""), "has 0 bytes"),
        ("image packed", lambda draft: (draft / f"{ID}.json").write_bytes(b"{"), "its note cannot be read"),
    ],
)
def test_a_copy_that_is_damaged_before_it_was_read_back_does_not_get_its_name(
    live: Path, kind: str, harm: Callable[[Path], object], told: str
) -> None:
    plan = plan_of(kind, live)
    assert plan.copying is not None
    with pytest.raises(DamagedCopy) as refused:
        carry_out(plan, harm)
    assert told in f"{refused.value.message}: {refused.value.cause}"
    assert [path.name for path in live.with_name("copies").iterdir()] == [Path(plan.copying.draft).name]
