"""The keeper without a lab: when a drill ends by itself, and when not."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.acts.playing import carry_out
from engine.drill import folder as folders
from engine.drill.folder import Card, Result, Truth
from engine.drill.keeper import GRACE, _Mischief, is_kept, start_keeper
from engine.drill.reading import find_scenario
from engine.drill.telling import read_drill
from tests.clusters import wait_until


def card(state: Path, seconds_ago: float) -> Card:
    """Of a drill that was called so long ago, with a limit of 20 minutes."""
    at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return Card(str(state / "lab"), True, "Help!", 1200, 100, 2, at)


def called(state: Path) -> Path:
    folder = folders.create(state, card(state, 0))
    folders.write(folder, folders.TRUTH, Truth(find_scenario("table-dropped")))
    return folder


def test_a_line_of_a_solution_that_is_no_command_is_told_in_the_record(tmp_path: Path) -> None:
    folder = called(tmp_path)
    keeper = start_keeper(folder)
    try:
        assert carry_out(tmp_path, ["bring-tabel", "documents"]) == 2
        minutes = [(minute.who, minute.what) for minute in read_drill(folder).minutes]
        assert ("operator", "reprise bring-tabel documents") in minutes
        assert any(who == "engine" and "exit code 2: " in what and "bring-tabel" in what for who, what in minutes)
    finally:
        keeper.close()


def test_a_drill_that_stands_by_itself_ends_with_its_time_and_not_before(tmp_path: Path) -> None:
    over, standing = called(tmp_path / "over"), called(tmp_path / "standing")
    keepers = [start_keeper(over), start_keeper(standing)]
    for keeper in keepers:
        keeper.leave()
        keeper.close()  # its beginner goes
    folders.write(standing, folders.CARD, card(tmp_path, 1200 + GRACE - 600))
    folders.write(over, folders.CARD, card(tmp_path, 1200 + GRACE + 1))
    wait_until(lambda: not is_kept(over), "it was not ended")
    ended = read_drill(over)
    assert (ended.outcome, ended.problem, ended.scenario) == ("failed", "its time is over", "table-dropped")
    assert is_kept(standing) and not folders.is_over(standing) and read_drill(standing).scenario is None
    folders.write(standing, folders.RESULT, Result("failed", datetime.now(UTC), "it was ended"))
    wait_until(lambda: not is_kept(standing), "it was ended, and is kept")


def test_what_the_operator_has_moved_himself_is_no_mischief_and_the_rest_comes_back(tmp_path: Path) -> None:
    wal = tmp_path / "lab" / "backup" / "wal"
    wal.mkdir(parents=True)
    mischief = _Mischief(called(tmp_path), tmp_path / "lab")
    mischief._take_away(1.0)
    assert [path.name for path in wal.parent.iterdir()] == [".wal.away"]
    mischief.end()
    assert [path.name for path in wal.parent.iterdir()] == ["wal"]
