"""How a drill ends, without a lab's server: what is its own then, and how it ends on a full disk."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.drill import folder as folders
from engine.drill.base import lab_place
from engine.drill.ending import conclude, decide
from engine.drill.folder import Card, Marked
from engine.drill.telling import read_drill
from engine.lab import place
from engine.records.coding import to_json
from engine.records.drills import Mark
from engine.records.errors import RepriseError
from engine.records.plan import Resolution
from engine.recovery.planning import make_plan
from engine.run.folder import create_run
from engine.steps.prepare import MARKER
from tests.recovery.scenes import NOW, POINT, SIDE_COPY, SITE, SURVEY
from tests.run.toys import site


@pytest.fixture
def drill(tmp_path: Path) -> Iterator[Path]:
    """The folder of a drill that was called; in its lab's place lies a file."""
    state = tmp_path / "state"
    lab = lab_place(state)
    with place.taken(lab):
        (lab / "data").write_bytes(b"x")
    yield folders.create(state, Card(str(lab), True, "Help!", 1200, 100, 2, datetime.now(UTC)))
    shutil.rmtree(lab)


@pytest.fixture
def server_in() -> Iterator[Callable[[Path], subprocess.Popen[bytes]]]:
    """Something that a sweep takes for PostgreSQL's: a program of that name that works in a folder."""
    begun: list[subprocess.Popen[bytes]] = []

    def begin(folder: Path) -> subprocess.Popen[bytes]:
        folder.mkdir(parents=True, exist_ok=True)
        program = shutil.copy2("/bin/sleep", folder / "postgres")
        begun.append(subprocess.Popen([program, "600"], cwd=folder))
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.wait()


def restored_into(drill: Path, container: Path) -> str:
    """The operator has planned a side copy there; the run's name."""
    plan = make_plan(SITE, POINT.target, Resolution(POINT, ()), SURVEY, SIDE_COPY, created_at=NOW, port=5432)
    assert plan.layout is not None
    plan = replace(plan, layout=replace(plan.layout, container=str(container)))
    return create_run(drill / folders.STATE, plan, site()).name


def test_a_drill_ends_what_bears_its_mark_and_once_it_is_over_nothing_any_more(
    drill: Path, tmp_path: Path, server_in: Callable[[Path], subprocess.Popen[bytes]]
) -> None:
    """A drill's side copy was discarded, and a real one has its place since."""
    own, anybodys, anothers = tmp_path / "own", tmp_path / "anybodys", tmp_path / "anothers"
    mine, strangers = server_in(own), [server_in(anybodys / "data"), server_in(anothers / "data")]
    (own / MARKER).write_bytes(to_json({"run": restored_into(drill, own)}))
    restored_into(drill, anybodys)
    restored_into(drill, anothers)
    (anothers / MARKER).write_bytes(to_json({"run": "20261124T120000Z-production"}))
    conclude(drill, "it was ended")
    assert mine.wait(10) != 0
    assert [each.poll() for each in strangers] == [None, None]
    assert [each.name for each in lab_place(drill.parent.parent).iterdir()] == [place.MARK]
    again = server_in(own)
    conclude(drill, "its keeper was gone")
    assert again.poll() is None and read_drill(drill).problem is None


def test_on_a_full_disk_the_lab_goes_first_and_the_drill_ends_with_what_was_marked(
    drill: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No byte can be put on disk as long as the lab takes all the room."""
    lab, sync = lab_place(drill.parent.parent), os.fsync

    def fsync(file: int) -> None:
        if (lab / "data").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(file)

    monkeypatch.setattr(os, "fsync", fsync)
    marked = Marked(datetime.now(UTC), (Mark("accepts", True, 100, 100, True, "open for writes"),))
    decide(drill, "it was ended", marked)
    ended = read_drill(drill)
    assert (ended.outcome, ended.score, ended.problem) == ("solved", 100, None)
    told = [minute.what for minute in ended.minutes]
    assert told == ["checked: 100 points, solved", "solved", "ended, solved: it was ended"]
    assert not [path for path in drill.iterdir() if path.name.startswith(".")]  # no half-written file


def test_where_no_room_comes_of_it_nothing_runs_on_and_a_later_command_ends_the_drill(
    drill: Path, monkeypatch: pytest.MonkeyPatch, server_in: Callable[[Path], subprocess.Popen[bytes]]
) -> None:
    server = server_in(lab_place(drill.parent.parent))

    def fsync(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full, pytest.raises(RepriseError, match="cannot be written down"):
        full.setattr(os, "fsync", fsync)
        conclude(drill, "its time is over")
    assert server.wait(10) != 0 and not folders.is_over(drill)
    conclude(drill, "its keeper was gone")
    assert read_drill(drill).problem == "its keeper was gone"
