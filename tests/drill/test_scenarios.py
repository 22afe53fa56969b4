"""Every scenario played for real: the marking refuses a wrong solution, the reference solves it, nothing runs on.

All in one place, because the drills of one state folder share one lab: one worker gets this module (conftest.py).
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine import acts
from engine.acts.playing import carry_out, goes_on
from engine.drill import folder as folders
from engine.drill.keeper import is_kept
from engine.drill.reading import list_scenarios
from engine.records.drills import DrillState
from engine.records.errors import Refused, UsageError
from engine.records.survey import Programs
from engine.run.learnt import RECOVERY
from engine.run.locks import lock_holder
from engine.site import read_site
from tests.clusters import wait_until
from tests.drill.standing import left_behind

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ended")]

SCENARIOS = {named.name: named.scenario for named in list_scenarios()[0] if not named.own}
HIDING = "table-dropped"
SAMPLE = ("pg-wal-readable", "media-half-deleted")


def failed(drill: DrillState) -> list[str]:
    return [mark.name for mark in drill.marks if mark.needed and not mark.ok]


@pytest.mark.parametrize("name", SCENARIOS)
def test_marking_refuses_a_wrong_solution_and_the_reference_solves_it(
    name: str, state: Path, programs: Programs
) -> None:
    if os.environ.get("REPRISE_TEST_POSTGRES") == "embedded" and name not in SAMPLE:
        pytest.skip("all are played with the machine's PostgreSQL; with the embedded one a sample")
    held = acts.begin_drill(state, name, bin_dir=programs.bin_dir)
    try:
        assert SCENARIOS[name].wrong
        for line in SCENARIOS[name].wrong:
            carry_out(state, line)
        refused = acts.check_drill(state)
        assert refused.outcome == "open" and failed(refused)
        for line in SCENARIOS[name].solution:
            assert goes_on(line, carry_out(state, line)), line
        solved = acts.end_drill(state)
    finally:
        held.close()
    assert solved.outcome == "solved", [mark for mark in solved.marks if not mark.ok]
    assert solved.score == solved.of == 100
    assert solved.scenario == name and solved.debriefing and solved.rto_seconds is not None
    assert sum(hint.cost for hint in SCENARIOS[name].hints) < 50
    if SCENARIOS[name].later:  # it was met, and the replay waited for its end
        assert {"the repository went away", "the repository is back"} <= {each.what for each in solved.minutes}
        logs = [log.read_text() for log in Path(solved.state).glob("runs/*/engine.log")]
        assert any("replay waits: " in log and "replay goes on" in log for log in logs)


def reprise(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine.cli", "--state", str(state), "drill", *words, "--json"]
    return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=120)


def test_a_hidden_drill_says_nowhere_which_one_it_is_before_the_end(state: Path, programs: Programs) -> None:
    """Served by a trainer without the screen; the operator does nothing, and fails."""
    started = reprise(state, "start", HIDING, "--blind", "--bin-dir", programs.bin_dir)
    assert started.returncode == 0, started.stderr
    told = json.loads(started.stdout)
    assert (told["outcome"], told["scenario"], told["title"], told["hints_cost"]) == ("open", None, None, 0)
    assert reprise(state, "start", HIDING).returncode == 3
    hinted = json.loads(reprise(state, "hint").stdout)
    assert hinted["hint"] and hinted["hints_cost"] == SCENARIOS[HIDING].hints[0].cost
    checked = reprise(state, "check")
    assert checked.returncode == 1
    document = json.loads(checked.stdout)
    assert document["outcome"] == "open" and [mark["ok"] for mark in document["marks"]].count(False) >= 1
    assert document["score"] == sum(mark["points"] for mark in document["marks"]) - hinted["hints_cost"]
    scenario = SCENARIOS[HIDING]
    words = (HIDING, scenario.title, scenario.marks[1].name, "accident", scenario.briefing.strip()[:40])
    listed = json.loads(reprise(state, "history").stdout)["drills"][0]
    hidden = [started.stdout, started.stderr, checked.stdout, json.dumps(listed)]
    folder = Path(told["lab"]["state"]).parent
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in (folders.TRUTH, folders.MARKS):
            hidden.append(path.read_bytes().decode(errors="replace"))
        assert HIDING not in path.name
    for text in hidden:
        assert not [word for word in words if word in text]
    assert (folder.stat().st_mode & 0o777, (folder / folders.TRUTH).stat().st_mode & 0o777) == (0o700, 0o600)
    site = read_site(Path(told["lab"]["site"]))
    with_objectives = state / "objectives.toml"
    with_objectives.write_text(Path(told["lab"]["site"]).read_text() + '[objectives]\nrto = "1h"\n')
    next(Path(site.database.repository[0].wal).iterdir()).unlink()
    Path(site.database.data_dir).rename(folder / "moved")  # its server goes on in it
    ended = reprise(state, "end")
    assert ended.returncode == 1
    document = json.loads(ended.stdout)
    marks = {asked.__struct_config__.tag: mark for asked, mark in zip(scenario.marks, document["marks"], strict=True)}
    assert marks["kept"]["ok"] is False and marks["kept"]["told"] == "gone: data, and 1 more"
    assert marks["proven"]["ok"] is False and marks["table"]["ok"] is None
    assert marks["in-time"]["ok"] and document["rpo_seconds"] is not None
    assert (document["outcome"], document["scenario"], document["running"]) == ("failed", HIDING, False)
    assert document["debriefing"] and "asked for a hint" in str(document["record"])
    learnt = json.loads(reprise(state, "history", "--site", str(with_objectives)).stdout)
    (told,) = [each for each in learnt["recoveries"] if each["name"] == document["drill"]]
    assert (told["kind"], told["ok"], told["rto_seconds"]) == ("drill", False, None)
    assert (told["at"], told["rpo_seconds"]) == (document["called_at"], document["rpo_seconds"])
    assert learnt["objectives"] == {"rto_seconds": 3600, "rpo_seconds": None}
    assert (folder / RECOVERY).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("when", ["preparing", "restoring"])
def test_killed_at_any_moment_it_leaves_no_process_and_no_port(when: str, state: Path, programs: Programs) -> None:
    """kill -9 of `drill run --auto`, while the disaster is prepared and in the middle of its restore."""
    command = [sys.executable, "-m", "engine.cli", "--state", str(state), "drill", "run", HIDING, "--auto"]
    player = subprocess.Popen(
        [*command, "--bin-dir", programs.bin_dir], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    try:
        if when == "preparing":
            wait_until(lambda: any("workload" in each for each in left_behind(state)), "nobody worked")
        else:
            wait_until(lambda: any("/state/runs/" in each for each in left_behind(state)), "nothing was restored")
        (folder,) = [each for each in folders.folders(state) if is_kept(each)]
    finally:
        player.send_signal(signal.SIGKILL)
        player.wait()
    wait_until(lambda: left_behind(state) == [], "something runs on")
    assert folder.exists() == (when == "restoring")
    if when == "restoring":
        assert acts.drill_state(state, folder.name).outcome == "failed"


def test_a_drill_whose_keeper_was_killed_is_ended_by_the_next_command(state: Path, programs: Programs) -> None:
    acts.begin_drill(state, HIDING, bin_dir=programs.bin_dir, stays=True)
    drill = acts.drill_state(state)
    assert drill.running and left_behind(state)
    with pytest.raises(Refused, match="is open"):
        acts.begin_drill(state, HIDING)
    holder = lock_holder(Path(drill.folder) / folders.KEEPER)
    assert holder is not None
    os.kill(holder.pid, signal.SIGKILL)
    wait_until(lambda: not is_kept(Path(drill.folder)), "the keeper lives")
    with pytest.raises(UsageError, match="no drill is open"):
        acts.check_drill(state)
    assert acts.drill_state(state).problem == "its keeper was gone"
