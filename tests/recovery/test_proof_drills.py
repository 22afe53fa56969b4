"""Proof drills thought through: their plan, their moment, what disproves a copy, what is left for others."""

from datetime import timedelta
from random import Random

import pytest
from msgspec.structs import replace

from engine.records.plan import Check, Limits, Plan, ProofDrill, Resolution
from engine.records.survey import FileSystem
from engine.records.target import RecoveryWindow
from engine.recovery.estimates import Measured
from engine.recovery.planning import make_layout, make_plan
from engine.recovery.proof_drills import as_proof, disproving, random_target, room_check, seconds_to_open
from tests.recovery.scenes import GIB, NOW, POINT, SIDE_COPY, SITE, SURVEY

LIMITS = Limits(10, True, 50_000_000)
LOSS = ProofDrill(None, "not known")
WINDOW = RecoveryWindow("b1", 1, 100, NOW - timedelta(hours=2), 900, NOW - timedelta(hours=1), 3, 300)


def drill(*checks: Check, measured: tuple[Measured, ...] = ()) -> Plan:
    plan = make_plan(SITE, POINT.target, Resolution(POINT, ()), SURVEY, SIDE_COPY, created_at=NOW, port=5432)
    return as_proof(plan, LOSS, LIMITS, None, checks, measured)


def test_its_copy_is_thrown_away_before_the_verdict_and_its_checks_replace_those_of_the_same_name() -> None:
    held = Check("another-run", "refuse", False, "another drill is at work")
    made = drill(held)
    assert [step.kind for step in made.steps][-5:] == ["promote", "check-result", "report", "throw-away", "verdict"]
    assert len({step.name for step in made.steps}) == len(made.steps)
    assert [check for check in made.checks if check.name == "another-run"] == [held] and made.refused
    assert made.limits == LIMITS and made.bytes_per_second == 50_000_000


def test_an_estimate_rests_on_runs_with_the_same_limits() -> None:
    def steps(run: str, seconds: float, limits: Limits | None) -> tuple[Measured, ...]:
        return tuple(Measured(kind, GIB, seconds, run, limits) for kind in ("copy", "replay", "inspect"))

    assert drill(measured=steps("a", 1, None)).estimate is None
    found = drill(measured=(*steps("b", 9, LIMITS), *steps("a", 1, None), *steps("c", 7, LIMITS))).estimate
    assert found is not None and found.runs == 2
    assert found.low < found.likely < found.high and found.low > 7 * 10


def test_the_time_to_open_is_that_of_all_steps_up_to_the_checks_at_a_stretch() -> None:
    made = drill()
    took = {step.name: 2.0 for step in made.steps}
    assert seconds_to_open(made, took) == 2.0 * (len(made.steps) - 3)
    assert seconds_to_open(made, took | {"replay": None}) is None  # it was interrupted
    assert seconds_to_open(made, {name: each for name, each in took.items() if name != "check-result"}) is None


def test_a_random_moment_lies_in_a_window_and_every_backup_has_its_turn() -> None:
    other = replace(WINDOW, backup="b2", timeline=2, from_at=None, to_at=None)
    chance = Random(7)
    found = [random_target([WINDOW, other], chance) for _ in range(50)]
    assert WINDOW.from_at is not None and WINDOW.to_at is not None
    for target in found:
        assert target is not None
        if target.backup == "b1":
            assert target.kind == "time" and target.time is not None and target.timeline == 1
            assert WINDOW.from_at <= target.time <= WINDOW.to_at
        else:
            assert (target.kind, target.backup, target.timeline) == ("immediate", "b2", 2)
    assert {target.backup for target in found if target is not None} == {"b1", "b2"}
    assert random_target([], chance) is None


@pytest.mark.parametrize(
    ("checks", "names"),
    [
        ([Check("verify", "warn", None, "SELECT broken")], ["verify"]),
        ([Check("verify", "warn", False, "SELECT one"), Check("verify", "warn", True, "SELECT two")], ["verify"]),
        ([Check("page-checksums", "warn", False, "5 pages"), Check("page-checksums", "warn", True, "mended")], []),
        ([Check("page-checksums", "warn", None, "no checksums")], []),
        ([Check("databases", "warn", None, "one")], ["databases"]),
        ([Check("databases", "warn", False, "one"), Check("databases", "warn", True, "all")], []),
        ([Check("libraries", "refuse", False, "ltree")], ["libraries"]),
        ([Check("files", "warn", False, "2 lost"), Check("collation", "warn", False, "another libc")], ["files"]),
    ],
)
def test_what_disproves_a_copy(checks: list[Check], names: list[str]) -> None:
    assert [check.name for check in disproving(checks)] == names


def test_something_stays_free_for_those_that_share_the_file_system() -> None:
    layout = make_layout(SITE, POINT, SURVEY, SIDE_COPY, created_at=NOW, port=5432)
    room = FileSystem("/restore", "/restore", 1, "/", 25 * GIB, 400 * GIB, True)
    assert room_check(POINT, layout, room, []) is None
    enough = room_check(POINT, layout, room, ["production"])
    assert enough is not None and enough.ok
    short = room_check(POINT, layout, replace(room, free_bytes=18 * GIB), ["production", "its archive"])
    assert short is not None and short.refuses and "production, its archive" in short.finding
