"""Setting aside and switching over, on real files: dead before every single rename, then tried again or undone."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.records.errors import RunFailed
from engine.records.plan import Destination, Layout, Plan, TablespacePlace
from engine.records.survey import Programs
from engine.records.target import RecoveryTarget
from engine.site import Site
from engine.steps import set_aside, switch_over
from engine.system.users import current_user
from tests.run.toys import site
from tests.steps.rehearsal import Rehearsal

STAMP = "20261123T120000Z"
Tree = dict[str, str]


class Dead(BaseException):
    """The engine was killed."""


def tree(folder: Path) -> Tree:
    """Every file's content and link's target, by path."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = f"-> {path.readlink()}"
        elif path.is_file():
            found[str(path.relative_to(folder))] = path.read_text()
    return found


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class Machine:
    """A production cluster with a tablespace and a linked pg_wal, and a finished copy of it beside."""

    def __init__(self, root: Path, *, within_mount: bool = False, wal_link: bool = True) -> None:
        self.root = root
        production = root / "db" / "main"
        container = production / f".reprise-{STAMP}" if within_mount else root / "db" / f".main.reprise-{STAMP}"
        aside = production / f".before-{STAMP}" if within_mount else root / "db" / f"main.before-{STAMP}"
        space = root / "disk" / "space"
        self.cluster(production, "old", space, root / "wal" / "here" if wal_link else None)
        write(space / "PG_14_9" / "1" / "x", "another version's")
        built = space / f".reprise-{STAMP}"
        self.cluster(container / "data", "new", built, None)
        self.layout = Layout(
            container=str(container),
            data_dir=str(container / "data"),
            staging=str(container / "staging"),
            work=str(container / "own"),
            socket_dir=str(container / "own"),
            port=1,
            run_as=current_user(),
            programs=Programs("/nowhere", 15, "15"),
            tablespaces=(TablespacePlace(77, str(built), str(space)),),
            production=str(production),
            set_aside=str(aside),
            within_mount=within_mount,
        )

    @staticmethod
    def cluster(data: Path, what: str, space: Path, wal: Path | None) -> None:
        write(data / "PG_VERSION", "15\n")
        write(data / "base" / "1" / "2", what)
        write(data / "global" / "pg_control", what)
        write(space / "PG_15_202209061" / "1" / "x", what)
        (data / "pg_tblspc").mkdir()
        (data / "pg_tblspc" / "77").symlink_to(space)
        write((wal or data / "pg_wal") / "000000010000000000000001", what)
        if wal is not None:
            (data / "pg_wal").symlink_to(wal)
        data.chmod(0o750)

    def step(self, facts: dict[str, Any]) -> Rehearsal:
        plan = Plan(
            "archive",
            datetime.now(UTC),
            RecoveryTarget("latest"),
            Destination("in-place", "x"),
            self.layout,
            None,
            (),
            (),
        )
        return Rehearsal(plan, self.site, self.root, facts=facts)

    @property
    def site(self) -> Site:
        return site()


class Death:
    """Renames, new links and facts that are told count; the engine dies in front of the one whose number is up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: int | None = None
        for name in ("rename", "replace", "symlink_to", "mkdir"):
            monkeypatch.setattr(Path, name, self.counted(getattr(Path, name)))
        monkeypatch.setattr(Rehearsal, "fact", self.counted(Rehearsal.fact))

    def counted(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **named: Any) -> Any:
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    raise Dead
            return act(*args, **named)

        return counting


def carry(*acts: Callable[[], None]) -> None:
    for act in acts:
        act()


def both(machine: Machine) -> tuple[list[Callable[[], None]], list[Callable[[], None]]]:
    """What does both steps, and what undoes them."""
    facts: dict[str, Any] = {}
    aside, over = machine.step(facts), machine.step(facts)
    does = [partial(set_aside.apply, aside), partial(switch_over.apply, over)]
    return does, [partial(switch_over.undo, over), partial(set_aside.undo, aside)]  # type: ignore[return-value]


KINDS = [
    pytest.param({}, id="renamed"),
    pytest.param({"within_mount": True}, id="within a mount"),
    pytest.param({"wal_link": False}, id="pg_wal inside"),
]


def run_until_dead(death: Death, number: int, acts: list[Callable[[], None]]) -> bool:
    """Whether it died before the end; what was done by then is taken off the list."""
    death.left = number
    try:
        while acts:
            acts[0]()
            del acts[0]
    except Dead:
        return True
    finally:
        death.left = None
    return False


@pytest.mark.parametrize("kind", KINDS)
def test_dead_before_any_rename_it_goes_on_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: dict[str, bool]
) -> None:
    death = Death(monkeypatch)
    expected: Tree | None = None
    for number in range(60):
        machine = Machine(tmp_path / f"{number:02}", **kind)
        acts, _ = both(machine)
        died = number > 0 and run_until_dead(death, number - 1, acts)
        carry(*acts)
        found = {name: text.replace(str(machine.root), "") for name, text in tree(machine.root).items()}
        expected = expected or found
        assert found == expected
        assert (machine.root / "db/main/base/1/2").read_text() == "new"
        assert (machine.root / "db/main/pg_tblspc/77/PG_15_202209061/1/x").read_text() == "new"
        assert (machine.root / "disk/space/PG_14_9/1/x").read_text() == "another version's"
        assert sorted(machine.root.glob("disk/space/PG_15*.before-*/1/x"))[0].read_text() == "old"
        assert (Path(str(machine.layout.set_aside)) / "base/1/2").read_text() == "old"
        assert (Path(str(machine.layout.set_aside)) / "pg_wal" / "000000010000000000000001").read_text() == "old"
        assert (machine.root / "db/main/pg_wal/000000010000000000000001").read_text() == "new"
        if number > 0 and not died:
            assert number > 5
            return
    pytest.fail("it never came to the end")


@pytest.mark.parametrize("kind", KINDS)
def test_dead_before_any_rename_it_is_undone_to_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: dict[str, bool]
) -> None:
    death = Death(monkeypatch)
    for number in range(60):
        machine = Machine(tmp_path / f"{number:02}", **kind)
        before = tree(machine.root)
        acts, undo = both(machine)
        died = run_until_dead(death, number, acts)
        run_until_dead(death, number % 7, undo)  # the undo dies too
        carry(*undo)
        assert tree(machine.root) == before
        if not died:
            assert number > 5
            return
    pytest.fail("it never came to the end")


def test_what_was_set_aside_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    facts: dict[str, Any] = {}
    aside, over = machine.step(facts), machine.step(facts)
    carry(lambda: set_aside.apply(aside), lambda: switch_over.apply(over))
    recovered = {name: text for name, text in tree(tmp_path).items() if ".before-" not in name}
    assert facts["set_aside"]
    set_aside.discard(aside)
    set_aside.discard(aside)
    assert tree(tmp_path) == recovered
    assert facts["set_aside"] == []


def test_what_took_the_place_of_the_set_aside_folder_is_not_deleted(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    aside = machine.step({})
    set_aside.apply(aside)
    place = Path(str(machine.layout.set_aside))
    place.rename(tmp_path / "kept by the operator")
    write(place / "somebody's", "own")
    set_aside.discard(aside)
    assert (place / "somebody's").read_text() == "own"
    assert (tmp_path / "kept by the operator" / "base" / "1" / "2").read_text() == "old"


def test_a_folder_in_the_way_is_refused_and_not_overwritten(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    write(tmp_path / "disk" / "space" / f"PG_15_202209061.before-{STAMP}" / "x", "somebody's")
    with pytest.raises(RunFailed, match="is in the way"):
        set_aside.apply(machine.step({}))
    assert (tmp_path / "db/main/base/1/2").read_text() == "old"


def test_a_link_planted_in_the_data_directory_is_not_followed_by_a_discard(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    write(tmp_path / "elsewhere" / "precious", "stays")
    (tmp_path / "db/main/base/link").symlink_to(tmp_path / "elsewhere")
    aside = machine.step({})
    set_aside.apply(aside)
    set_aside.discard(aside)
    assert (tmp_path / "elsewhere" / "precious").read_text() == "stays"


def test_the_switch_over_keeps_productions_mode_and_never_opens_it_wider(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    (tmp_path / "db/main").chmod(0o777)
    facts: dict[str, Any] = {}
    carry(lambda: set_aside.apply(machine.step(facts)), lambda: switch_over.apply(machine.step(facts)))
    assert (tmp_path / "db/main").stat().st_mode & 0o777 == 0o750


def test_an_emptied_data_directory_is_set_aside_and_comes_back(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    shutil.rmtree(tmp_path / "db/main")
    (tmp_path / "db/main").mkdir()
    write(tmp_path / "db/main/left", "over")
    (tmp_path / "disk/space/PG_15_202209061").rename(tmp_path / "lost too")
    before = tree(tmp_path)
    facts: dict[str, Any] = {}
    aside, over = machine.step(facts), machine.step(facts)
    carry(lambda: set_aside.apply(aside), lambda: switch_over.apply(over))
    assert (tmp_path / "db/main/base/1/2").read_text() == "new"
    assert (Path(str(machine.layout.set_aside)) / "left").read_text() == "over"
    carry(lambda: switch_over.undo(over), lambda: set_aside.undo(aside))
    assert tree(tmp_path) == before


def test_what_stands_where_pg_wal_shall_go_is_not_deleted(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    facts: dict[str, Any] = {}
    set_aside.apply(machine.step(facts))
    write(tmp_path / "wal/here/precious", "stays")
    with pytest.raises(RunFailed, match="is in the way"):
        switch_over.apply(machine.step(facts))
    assert (tmp_path / "wal/here/precious").read_text() == "stays"


def test_a_program_that_does_not_end_fails_the_step_and_the_run_is_served_meanwhile(tmp_path: Path) -> None:
    step = Machine(tmp_path).step({})
    with pytest.raises(RunFailed, match="sleep did not end"):
        switch_over._run_serving(step, ["sleep", "600"], 0.3)
    assert step.progresses


def test_a_bare_machine_has_nothing_in_the_way(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    (tmp_path / "db/main").rename(tmp_path / "lost")
    (tmp_path / "disk/space/PG_15_202209061").rename(tmp_path / "lost too")
    machine.layout = replace(machine.layout, set_aside=None)
    over = machine.step({})
    before = tree(tmp_path)
    switch_over.apply(over)
    assert (tmp_path / "db/main/base/1/2").read_text() == "new"
    switch_over.undo(over)
    assert tree(tmp_path) == before


def test_where_selinux_is_every_place_of_the_cluster_gets_its_contexts_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for restorecon, which is where SELinux is only: it follows no links, so pg_wal and the tablespace
    must be named."""
    programs = tmp_path / "bin"
    write(programs / "restorecon", f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/told\n")
    (programs / "restorecon").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    monkeypatch.setattr(switch_over, "_SELINUX", programs)
    machine = Machine(tmp_path / "m")
    carry(*both(machine)[0])
    places = [str(machine.root / place) for place in ("db/main", "disk/space", "wal/here")]
    assert (tmp_path / "told").read_text().split() == ["-R", *places]


def test_selinux_without_restorecon_is_told_with_the_command_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch_over, "_SELINUX", tmp_path)
    monkeypatch.setattr(switch_over.shutil, "which", lambda *_, **__: None)
    machine = Machine(tmp_path / "m", wal_link=False)
    facts: dict[str, Any] = {}
    aside, over = machine.step(facts), machine.step(facts)
    carry(partial(set_aside.apply, aside), partial(switch_over.apply, over))
    assert [(check.name, check.ok) for check in over.checks] == [("ownership", False)]
    assert over.checks[0].remedy == f"restorecon -R {machine.root}/db/main {machine.root}/disk/space"
