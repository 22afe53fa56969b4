"""Layout and steps of a plan."""

from datetime import UTC, datetime
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.records.coding import from_json, to_json
from engine.records.copies import BaseBackup, Tablespace
from engine.records.history import ParameterChange
from engine.records.plan import Destination, Limits, Plan, PlannedStep, Resolution
from engine.records.target import RecoveryPoint
from engine.recovery.estimates import NEWEST, Measured, estimate
from engine.recovery.planning import SOCKET_PATH_LIMIT, make_plan, socket_dir
from engine.recovery.settings import raised_settings
from engine.recovery.wording import Wording
from tests.recovery.scenes import BACKUP, CLUSTER, GIB, IN_PLACE, NOW, POINT, SIDE_COPY, SITE, SURVEY

PART = replace(BACKUP, id="part", incremental=True, parent=BACKUP.id, files_size_bytes=2 * GIB)
SIDE_STEPS = ["prepare", "copy", "settings", "replay", "prove", "inspect", "promote", "check-result", "report"]
IN_PLACE_STEPS = [
    *("prepare", "copy", "settings", "replay", "prove", "inspect", "stop-application", "stop-server", "salvage"),
    *("set-aside", "switch-over", "take-over", "check-result", "open", "report"),
]


def plan(
    destination: Destination = SIDE_COPY,
    point: RecoveryPoint | None = POINT,
    action: str = "finish",
    **cluster: object,
) -> Plan:
    survey = replace(SURVEY, cluster=replace(CLUSTER, **cluster))  # type: ignore[arg-type]
    return make_plan(
        SITE,
        POINT.target,
        Resolution(point, ()),
        survey,
        destination,
        action=action,  # type: ignore[arg-type]
        created_at=NOW,
        port=5432,
    )


def kinds(made: Plan) -> list[str]:
    return [step.kind for step in made.steps]


def test_a_side_copy_is_built_beside_and_never_touches_production() -> None:
    made = plan()
    assert kinds(made) == SIDE_STEPS
    layout = made.layout
    assert layout is not None
    assert (layout.container, layout.data_dir) == ("/restore/copy", "/restore/copy/data")
    assert layout.staging == "/restore/copy/staging"
    assert (layout.work, layout.socket_dir, layout.port) == ("/restore/copy/own", "/restore/copy/own/run", 5440)
    assert (layout.production, layout.set_aside, layout.within_mount) == (None, None, False)


def test_in_place_everything_lies_beside_production() -> None:
    made = plan(IN_PLACE)
    assert kinds(made) == IN_PLACE_STEPS
    layout = made.layout
    assert layout is not None
    assert layout.container == "/srv/pg/.main.reprise-20261123T120000Z"
    assert (layout.production, layout.set_aside) == ("/srv/pg/main", "/srv/pg/main.before-20261123T120000Z")
    assert layout.port == 5432


def test_a_mount_point_is_not_renamed_but_emptied_within_itself() -> None:
    layout = plan(IN_PLACE, is_mount_point=True).layout
    assert layout is not None and layout.within_mount
    assert layout.container == "/srv/pg/main/.reprise-20261123T120000Z"
    assert layout.set_aside == "/srv/pg/main/.before-20261123T120000Z"


def test_on_a_bare_machine_there_is_nothing_to_stop_or_set_aside() -> None:
    made = plan(IN_PLACE, exists=False)
    assert kinds(made) == [kind for kind in IN_PLACE_STEPS if kind not in ("stop-server", "salvage", "set-aside")]
    assert made.layout is not None and made.layout.set_aside is None


def test_a_pause_puts_a_gate_behind_the_proof() -> None:
    for destination in (SIDE_COPY, IN_PLACE):
        made = kinds(plan(destination, action="pause"))
        assert made[made.index("prove") :][:3] == ["prove", "inspect", "gate"]


def test_a_chain_is_copied_oldest_first_and_combined() -> None:
    made = plan(point=replace(POINT, chain=(BACKUP, PART)))
    assert kinds(made)[:4] == ["prepare", "copy", "copy", "combine"]
    first, second, combine = made.steps[1:4]
    assert (first.args["backup"], first.args["into"], first.bytes) == (0, "/restore/copy/staging/0", 10 * GIB)
    assert (second.args["backup"], second.args["into"], second.bytes) == (1, "/restore/copy/staging/1", 2 * GIB)
    assert combine.args["members"] == ["/restore/copy/staging/0", "/restore/copy/staging/1"]
    assert made.bytes_to_copy == 12 * GIB
    assert len({step.name for step in made.steps}) == len(made.steps)


def test_a_tablespace_gets_a_place_of_the_copys_own() -> None:
    point = replace(POINT, chain=(replace(BACKUP, tablespaces=(Tablespace(16999, "/fast/ts"),)),))
    side = plan(point=point).layout
    assert side is not None
    assert [(each.built_at, each.stands_at) for each in side.tablespaces] == [("/restore/copy/tablespaces/16999",) * 2]
    moved = plan(IN_PLACE, point, tablespaces=((16999, "/newer/ts"),)).layout
    assert moved is not None
    assert moved.tablespaces[0].built_at == "/newer/ts/.reprise-20261123T120000Z"
    assert moved.tablespaces[0].stands_at == "/newer/ts"


def test_without_a_point_or_programs_a_plan_has_no_steps_and_is_refused() -> None:
    assert plan(point=None).refused and plan(point=None).steps == ()
    survey = replace(SURVEY, programs=None)
    made = make_plan(SITE, POINT.target, Resolution(POINT, ()), survey, SIDE_COPY, created_at=NOW, port=1)
    assert made.layout is None and made.refused
    assert [check.name for check in made.checks if check.refuses] == ["major-version"]


def test_a_plan_survives_its_json() -> None:
    changes = (ParameterChange(1, 5, {"max_connections": 300}),)
    made = plan(IN_PLACE, replace(POINT, chain=(BACKUP, PART), parameter_changes=changes))
    assert from_json(to_json(made), Plan) == made


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=60), st.integers(1, 4))
def test_a_socket_path_never_exceeds_what_the_system_takes(name: str, depth: int) -> None:
    made = plan(Destination("side-copy", "/" + "/".join([name] * depth), 5440)).layout
    assert made is not None
    assert len(f"{made.socket_dir}/.s.PGSQL.65535".encode()) <= SOCKET_PATH_LIMIT


def test_two_containers_have_two_short_socket_folders() -> None:
    long = PurePosixPath("/" + "x" * 100)
    one, two = (socket_dir(long / each / "own", long / each) for each in ("one", "two"))
    assert one != two and one.startswith("/tmp/reprise-")


def test_titles_name_the_backup_by_its_time_in_the_sites_zone() -> None:
    zoned = replace(SITE, zone=ZoneInfo("Europe/Moscow"))
    made = make_plan(zoned, POINT.target, Resolution(POINT, ()), SURVEY, SIDE_COPY, created_at=NOW, port=1)
    assert made.steps[1].title == "copy full backup 22 Nov 05:00"
    assert plan().steps[1].title == "copy full backup 20261122-020000"
    assert plan().steps[3].title == "replay 4 WAL segments, stop before xid 802"


def test_settings_are_raised_to_the_highest_of_control_file_and_wal() -> None:
    changes = (ParameterChange(1, 5, {"max_connections": 300}), ParameterChange(1, 9, {"max_connections": 50}))
    raised = dict(raised_settings(replace(POINT, parameter_changes=changes)))
    assert raised == {"max_connections": "300", "max_locks_per_transaction": "64"}
    low: BaseBackup = replace(BACKUP, settings=(("max_connections", "20"),))
    assert raised_settings(replace(POINT, chain=(low,))) == (("max_connections", "100"),)


# Estimates


def step(kind: str, size: int | None) -> PlannedStep:
    return PlannedStep(kind, kind, kind, size, {})


def test_what_was_never_measured_has_no_estimate() -> None:
    assert estimate([step("copy", 100)], []) is None
    assert estimate([step("copy", 100), step("replay", 5)], [Measured("copy", 50, 1.0)]) is None
    assert estimate([step("prepare", None)], [Measured("prepare", None, 1.0)]) is None


def test_an_estimate_scales_by_bytes_and_spreads_over_the_runs() -> None:
    measured = [
        Measured("copy", 100, 1, "d"),
        Measured("copy", 100, 2, "c"),
        Measured("copy", 50, 2, "c"),  # the other backup of a chain
        Measured("copy", 100, 2, "b"),
        Measured("prove", None, 3, "a"),
    ]
    found = estimate([step("copy", 1000), step("prove", None), step("report", None)], measured)
    assert found is not None
    assert (found.low, found.likely, found.high, found.runs) == (13, 23, 43, 3)
    many = [Measured("copy", 100, seconds, f"run {seconds}") for seconds in range(1, 100)]
    newest = estimate([step("copy", 100)], many)
    assert newest is not None and (newest.high, newest.runs) == (NEWEST, NEWEST)


def test_what_only_proof_drills_have_measured_counts_where_they_were_not_held_back_and_is_told() -> None:
    yielding, slow = Limits(10, True), Limits(10, True, 1_000_000)
    steps = [step("copy", 100), step("replay", 100), step("throw-away", None)]
    drilled = [Measured("copy", 100, 8, "d", yielding), Measured("replay", 100, 4, "d", yielding)]
    found = estimate(steps, [Measured("copy", 100, 99, "e", slow), *drilled])
    assert found is not None and (found.likely, found.runs, found.limited) == (12, 1, True)
    assert estimate(steps, [Measured("copy", 100, 99, "e", slow), drilled[1]]) is None
    ours = [Measured("copy", 100, 2, "a"), Measured("replay", 100, 1, "a")]
    found = estimate(steps, [*drilled, *ours])
    assert found is not None and (found.likely, found.limited) == (3, False)
    assert estimate(steps, [*drilled, *ours], slow) is None  # what a drill may take nobody else tells


def test_times_in_commands_are_in_utc_with_microseconds() -> None:
    at = datetime(2026, 11, 22, 14, 3, 10, 123456, tzinfo=ZoneInfo("Europe/Moscow"))
    assert Wording.time(at) == "2026-11-22T11:03:10.123456Z"
    assert Wording.time(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000000Z"
