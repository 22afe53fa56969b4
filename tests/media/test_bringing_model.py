"""Random histories of a media folder, real snapshots of it, and a moment: after the restore there is what there was
then, or it is told what is not; nothing of the live folder is lost, and an undo gives it back as it was."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine.media.choosing import CLASH
from tests.media.scenes import Place, Scene, contents, nanoseconds, same_everywhere, tree

PLACES: list[Place] = ["beside", "delta", "into"]
PATHS = [b"a", b"b-", b"d", b"d/a", b"d/e", b"d/e/f", b"d\n"]
EXAMPLES = int(os.environ.get("REPRISE_TEST_EXAMPLES", "40"))


class Act(NamedTuple):
    what: Literal["write", "rename", "delete", "snapshot"]
    path: bytes
    other: bytes
    number: int
    before: int
    after: int


ACTS = st.builds(
    Act,
    st.sampled_from(["write", "write", "write", "rename", "delete", "snapshot", "snapshot"]),
    st.sampled_from(PATHS),
    st.sampled_from(PATHS),
    st.integers(0, 4),
    st.integers(0, 3),
    st.integers(0, 3),
)
DRAWN = st.lists(ACTS, min_size=2, max_size=14).flatmap(
    lambda acts: st.tuples(st.just(acts), st.integers(0, len(acts)), st.sampled_from(PLACES))
)
Drawn = tuple[list[Act], int, Place]
# What the database means stands only below a folder that must make way for a file.
BELOW_WHAT_GOES = [
    Act("write", b"d", b"a", 1, 0, 0),
    Act("snapshot", b"a", b"a", 0, 0, 0),
    Act("write", b"a", b"a", 2, 0, 0),
    Act("write", b"d/a", b"a", 2, 0, 0),
    Act("delete", b"a", b"a", 0, 0, 0),
]


@dataclass
class History:
    """The folder as it was after each act: content and mtime in seconds, by path."""

    scene: Scene
    states: list[dict[bytes, tuple[bytes, int]]] = field(default_factory=lambda: [{}])
    in_snapshot: dict[str, dict[bytes, tuple[bytes, int]]] = field(default_factory=dict)
    renamed: bool = False

    def carry_out(self, acts: list[Act]) -> None:
        for second, act in enumerate(acts, 1):
            state = dict(self.states[-1])
            getattr(self, f"_{act.what}")(act, state, second)
            self.states.append(state)

    def _write(self, act: Act, state: dict[bytes, tuple[bytes, int]], second: int) -> None:
        self._make_way(act.path, state)
        content = b"content %d" % act.number
        self.scene.write(act.path, content, second)
        state[act.path] = content, second

    def _rename(self, act: Act, state: dict[bytes, tuple[bytes, int]], second: int) -> None:
        if act.path not in state or act.path == act.other or act.other.startswith(act.path + b"/"):
            return
        if act.path.startswith(act.other + b"/"):
            return
        self._make_way(act.other, state)
        self._place(act.other).parent.mkdir(parents=True, exist_ok=True)
        self._place(act.path).rename(self._place(act.other))
        state[act.other] = state.pop(act.path)
        self.renamed = True

    def _delete(self, act: Act, state: dict[bytes, tuple[bytes, int]], second: int) -> None:
        if act.path in state:
            self._place(act.path).unlink()
            del state[act.path]

    def _snapshot(self, act: Act, state: dict[bytes, tuple[bytes, int]], second: int) -> None:
        taken = self.scene.snapshot(second - act.before, second + act.after)
        self.in_snapshot[taken.id] = state

    def _place(self, path: bytes) -> Path:
        return self.scene.live / os.fsdecode(path)

    def _make_way(self, path: bytes, state: dict[bytes, tuple[bytes, int]]) -> None:
        """For a file: no folder at its place, no file where its folders stand."""
        if self._place(path).is_dir():
            shutil.rmtree(self._place(path))
        parts = path.split(b"/")
        for count in range(1, len(parts)):
            with suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
                self._place(b"/".join(parts[:count])).unlink()
        for other in list(state):
            if other.startswith(path + b"/") or path.startswith(other + b"/"):
                del state[other]


@dataclass
class Case:
    """A history, a moment of it half a second after an act, and where the files of then shall go."""

    history: History
    second: int
    place: Place

    def __post_init__(self) -> None:
        self.scene, self.moment = self.history.scene, self.second + 0.5
        self.held = self.scene.chosen(self.moment)
        self.truth, self.live = self.history.states[self.second], tree(self.scene.live)


@contextmanager
def played(drawn: Drawn) -> Iterator[Case]:
    acts, second, place = drawn
    with tempfile.TemporaryDirectory(prefix="reprise-scene-") as folder:
        history = History(Scene(Path(folder)))
        history.carry_out(acts)
        yield Case(history, second, place)


@given(DRAWN)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_without_a_database_every_file_of_the_moment_is_there_or_told(drawn: Drawn) -> None:
    with played(drawn) as case:
        history, scene, moment, place = case.history, case.scene, case.moment, case.place
        held, truth, live = case.held, case.truth, case.live
        if not held:
            return
        there = contents(scene.restore(moment, place))
        told = scene.told()
        blind = any(each.startswith("no snapshot") for each in told.get(b"", ()))
        known = [history.in_snapshot[each.snapshot.id] for each in held if not each.in_reserve]

        for path, version in truth.items():
            if any(each.get(path) == version for each in known):
                right = there.get(path) == version[0]
                excuses = told.get(path, set()) if history.renamed else told.get(path, set()) & {CLASH}
                assert right or excuses, (path, version, there.get(path), told)
        assert scene.lost() == {}
        stood = {path for path, each in live.items() if each[3] is not None}
        for path in there.keys() - truth.keys():
            left = place != "into" and path in stood and live[path][2] <= nanoseconds(moment)  # type: ignore[operator]
            # One content before and after: that it was gone meanwhile, nothing can know.
            same = sum(each.get(path, (None,))[0] == there[path] for each in known) > 1
            # Nor that a file which came shortly before the moment got this name only after it.
            assert left or blind or same or history.renamed or told.get(path), (path, told)
        check_nothing_is_lost(scene, live, place, moment)


@given(DRAWN)
@example((BELOW_WHAT_GOES, 3, "beside"))
@example((BELOW_WHAT_GOES, 3, "delta"))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_the_database_refers_to_is_there_and_right_or_listed_as_lost(drawn: Drawn) -> None:
    with played(drawn) as case:
        history, scene, moment, place = case.history, case.scene, case.moment, case.place
        held, truth, live = case.held, case.truth, case.live
        if not held:
            return
        there = contents(scene.restore(moment, place, {path: version[0] for path, version in truth.items()}))
        lost = scene.lost()
        had = {version[0] for each in held for version in history.in_snapshot[each.snapshot.id].values()}
        had |= {each[3] for each in live.values()}  # type: ignore[arg-type]

        for path, (content, _) in truth.items():
            assert (path in lost) == (content not in had), (path, lost)
            assert path in lost or there.get(path) == content, (path, there)
        assert lost.keys() <= truth.keys()
        if place == "into":
            assert there.keys() == truth.keys() - lost.keys()
        check_nothing_is_lost(scene, live, place, moment)


@pytest.mark.parametrize("packed", [False, True])
@given(drawn=DRAWN)
@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=list(HealthCheck))
def test_so_it_is_where_the_snapshots_know_no_hashes(packed: bool, drawn: Drawn) -> None:
    """Folders of rsync; and ``packed``, restic's: in reserve they are sought through by name alone."""
    with played(drawn) as case:
        history, scene, moment, place, truth = case.history, case.scene, case.moment, case.place, case.truth
        if packed:
            scene.pack()
        else:
            scene.unhash()
        held = scene.chosen(moment)
        if not held:
            return
        there = contents(scene.restore(moment, place, {path: version[0] for path, version in truth.items()}))
        lost = scene.lost()
        sure = [each for each in held if not (packed and each.in_reserve)]
        had = {version[0] for each in sure for version in history.in_snapshot[each.snapshot.id].values()}
        had |= {each[3] for each in case.live.values()}  # type: ignore[arg-type]
        for path, (content, _) in truth.items():
            assert path in lost or there.get(path) == content, (path, there)
            assert path not in lost or content not in had, (path, lost)
        check_nothing_is_lost(scene, case.live, place, moment)


def check_nothing_is_lost(scene: Scene, live: dict[bytes, tuple[object, ...]], place: Place, moment: float) -> None:
    """What was live stands in its place or aside; what is older than the moment and was not replaced has stayed, but
    what stood where something else is lost."""
    if place == "into":
        assert tree(scene.live) == live
        return
    files = {path: each for path, each in live.items() if each[3] is not None}
    assert {each[3] for each in files.values()} <= set(same_everywhere(scene.live, scene.aside))
    now, lost = contents(scene.live), scene.lost()
    for path, each in files.items():
        blocked = any(other.startswith(path + b"/") or path.startswith(other + b"/") for other in now)
        assert each[2] > nanoseconds(moment) or path in now or blocked or path in lost, path  # type: ignore[operator]
    scene.undo(place)
    assert tree(scene.live) == live
