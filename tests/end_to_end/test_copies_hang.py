"""The repository hangs while a copy is taken into it, as a hard NFS mount does: the run says what it waits for and
stays its operator's."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine import acts
from engine.acts.keeping import locked
from engine.backup.planning import Place, copying_at, make_plan
from engine.records.errors import RepriseError, Unreachable
from engine.run.folder import read_run
from engine.run.locks import hold_folder
from engine.site import Database, DatabaseRepository, Identity, Site
from engine.steps.copying import publish
from engine.steps.copying.drafts import grows_at
from engine.steps.protocol import Stopped
from engine.steps.shared.children import see_that_it_answers
from engine.system.users import current_user
from tests.end_to_end.middle import Run, answers_at_once, cancelled
from tests.end_to_end.mounts import Hanging
from tests.end_to_end.operator import Operator, operator_for
from tests.end_to_end.test_taking_media_snapshots import fill
from tests.histories import History
from tests.steps.rehearsal import Rehearsal


@pytest.fixture
def operator(history: History, hanging: Hanging, open_dir: Path) -> Operator:
    operator = operator_for(history.cluster, open_dir)
    (open_dir / "live").mkdir()
    with operator.site.open("a") as file:
        file.write(f'[media]\npath = "{open_dir}/live"\n')
        file.write(f'[[media.repository]]\nkind = "directory"\npath = "{hanging.place}"\n')
    return operator


@pytest.mark.slow
@pytest.mark.parametrize("then", ["goes on", "rolled back"])
def test_a_repository_that_hangs_in_mid_copy_is_named_and_the_run_stays_the_operators(
    operator: Operator, hanging: Hanging, open_dir: Path, then: str
) -> None:
    fill(open_dir / "live", 300, 2000)
    run = Run(operator, operator.call("backup", "media", "--detach", expect=0).document["run"])
    while not any(step.progress and step.progress.done for step in read_run(run.folder).steps):
        assert run.state.outcome == "running"
        time.sleep(0.002)
    hanging.hang()
    assert str(hanging.place) in run.wait_for_words("waiting: no word for")
    answers_at_once(run)
    if then == "goes on":
        hanging.go_on()
        assert operator.call("attach", run.name, expect=0).document["copy"]["files"] == 300
        return
    cancelled(run)
    refused = operator.call("rollback", run.name, "--yes").document
    assert refused["error"]["message"] == f"{hanging.place} does not answer"
    hanging.go_on()
    assert operator.call("rollback", run.name, "--yes", expect=0).document["outcome"] == "rolled-back"
    assert list((open_dir / "repository").iterdir()) == []


def a_draft(repository: Path) -> Rehearsal:
    """A copy that stands in its draft, to be published."""
    place = Place(str(repository), None, True, True)
    copying = copying_at("media", place, "20261127T000000Z", current_user())
    plan = make_plan("tests", datetime(2026, 11, 27, tzinfo=UTC), copying, [], [], bytes=None)
    grows_at(copying).mkdir(parents=True)
    (Path(copying.draft) / "20261127T000000Z.json").write_text("{}")
    site = Site(Identity("tests"), Database("/nowhere", [DatabaseRepository("directory", "/nowhere", "/nowhere")]))
    moment = "2026-11-27T00:00:00+00:00"
    return Rehearsal(plan, site, Path("/runs/this"), facts={"interval": [moment, moment], "size": 1})


@pytest.mark.parametrize("act", [publish.apply, publish.undo])
def test_a_repository_that_hangs_when_a_copy_gets_its_name_leaves_the_step_free_to_be_cancelled(
    hanging: Hanging, open_dir: Path, act: object
) -> None:
    assert callable(act)
    step = a_draft(hanging.place)

    def cancel_when_it_says_so() -> None:
        if any("waiting: no word for" in detail and str(hanging.place) in detail for *_, detail in step.progresses):
            raise Stopped

    step.at_safe_point = cancel_when_it_says_so
    hanging.hang()
    with pytest.raises(Stopped):
        act(step)
    assert step.undo_records == []
    hanging.go_on()
    step.at_safe_point = lambda: None
    act(step)
    left = sorted(path.name for path in (open_dir / "repository").iterdir())
    assert left == (["20261127T000000Z", "20261127T000000Z.json"] if act is publish.apply else [])


def test_a_folder_that_hangs_is_not_opened_by_who_asks_first(hanging: Hanging) -> None:
    see_that_it_answers(hanging.place)
    see_that_it_answers(hanging.place / "absent")
    hanging.hang()
    with pytest.raises(Unreachable, match="does not answer"):
        see_that_it_answers(hanging.place, patience=0.5)


def test_expire_does_not_open_a_folder_that_hangs_and_locks_the_others(operator: Operator, hanging: Hanging) -> None:
    desk = acts.open_desk(operator.site, operator.home / "state")
    hanging.hang()
    with locked(desk, patience=0.5) as away:
        assert away == {str(hanging.place)}
        with pytest.raises(RepriseError, match="another run holds"):
            hold_folder(Path(desk.site.database.repository[0].base_backups), "another run holds it")
    hanging.go_on()
    with locked(desk) as away:
        assert not away
