"""The engine is killed in the middle of a copy of the source code or of the environment (the other kinds are killed in
`test_taking_*`): nothing half done is listed, resume and rollback end well, and the next copy is whole."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import pytest

from engine import acts
from engine.records.errors import RepriseError
from engine.records.plan import Plan
from engine.run.folder import read_run
from engine.run.starting import start_engine, wait_for_end
from tests.acts.sites import MediaSite, carry_on, make_site
from tests.clusters import wait_until
from tests.end_to_end.breaking_children import PROGRAM
from tests.end_to_end.dying import step_of
from tests.end_to_end.test_taking_source_and_image import commit, git

MB = 1 << 20


@dataclass
class Copies:
    """A site with one kind of copy, and what its tests ask."""

    site: MediaSite
    plan: Callable[[], Plan]
    program: tuple[str, ...]  # words of the command line that does the long work

    @property
    def folder(self) -> Path:
        return self.site.home / "kept"

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def listed(self) -> list[str]:
        catalog = acts.look(self.site.desk).catalog
        assert not [each for each in catalog.problems if str(self.folder) in each.where]
        assert all(each.usable for each in catalog.images)
        return [each.id for each in (*catalog.sources, *catalog.images)]

    def all_sound(self) -> bool:
        return all(proof.ok for proof in acts.verify(self.site.desk))

    def killed_in_mid_work(self) -> Path:
        """A run whose engine is killed while that program works."""
        run = self.site.begin(self.plan())
        engine = start_engine(run)
        found: list[psutil.Process] = []

        def caught() -> bool:
            assert read_run(run).outcome == "running", "it was over before it could be caught"
            with suppress(psutil.NoSuchProcess):
                for each in psutil.Process(engine).children(recursive=True):
                    with suppress(psutil.Error):
                        words = each.cmdline()
                        if words and set(self.program) <= {Path(words[0]).name, *words}:
                            os.kill(each.pid, signal.SIGSTOP)
                            found.append(each)
                            return True
            return False

        wait_until(caught, "its program was not seen")
        os.kill(engine, signal.SIGKILL)
        assert wait_for_end(run, 20)
        wait_until(lambda: not found[0].is_running() or found[0].status() == "zombie", "its program lives on")
        assert read_run(run).outcome == "interrupted"
        return run


def copies_of(kind: str, home: Path, size: int) -> Copies:
    """A site whose source code and environment have so many bytes."""
    source, kept = home / "srv", home / "kept"
    for folder in (source, kept):
        folder.mkdir()
    git("init", "-q", "-b", "main", cwd=source)
    (source / "large.bin").write_bytes(os.urandom(size))
    commit(source, "one", "2026-11-01T12:00:00+0000")
    more, program = {
        "mirror": (f'[[source]]\npath = "{source}"\nmirror = "{kept}/docs.git"', ("git", "clone")),
        "bundle": (f'[[source]]\npath = "{source}"\nbundles = "{kept}"', ("git", "bundle")),
        "packed": (f'[environment]\npath = "{source}"\nstore = "{kept}"', ("tar", "--create")),
    }[kind]
    site = make_site(home, more)
    if kind in ("mirror", "bundle"):
        return Copies(site, lambda: acts.plan_source_copies(site.desk)[0], program)
    return Copies(site, partial(acts.plan_image, site.desk), program)


@pytest.mark.parametrize("kind", ["mirror", "bundle", "packed"])
def test_killed_while_its_program_works_nothing_of_it_is_listed_and_the_next_try_succeeds(
    kind: str, tmp_path: Path
) -> None:
    copies = copies_of(kind, tmp_path, 8 * MB)
    run = copies.killed_in_mid_work()
    assert copies.listed() == []
    assert carry_on(run, "rollback").outcome == "rolled-back"
    assert copies.names() == []
    run = copies.killed_in_mid_work()
    assert copies.listed() == []
    assert carry_on(run).outcome == "completed"
    assert len(copies.listed()) == 1
    assert carry_on(copies.site.begin(copies.plan())).outcome == "completed"
    assert not [name for name in copies.names() if name.startswith(".")]
    assert copies.all_sound()


@pytest.mark.parametrize("kind", ["mirror", "bundle", "packed"])
def test_killed_at_whatever_change_it_makes_a_copy_is_listed_whole_or_not_at_all(kind: str, tmp_path: Path) -> None:
    """Engine and child, in a run taken up again: at each change of the file system when the copy gets its name, at ever
    later ones before."""
    copies = copies_of(kind, tmp_path, 1000)
    for step in ("publish", "take"):
        before, run = copies.listed(), copies.site.begin(copies.plan())
        name = next(each.name for each in read_run(run).steps if each.name.startswith(step))
        number = 1
        while read_run(run).outcome != "completed":
            with suppress(RepriseError):  # it died before it said that it has begun
                start_engine(run, program=[*PROGRAM, name, str(number), "apply"])
            assert wait_for_end(run, 60)
            state = read_run(run)
            assert state.outcome == "completed" or step_of(state, name).outcome == "running"
            if copies.listed() != before:
                assert state.outcome == "completed" or (step == "publish" and copies.all_sound())
            number += 1 if step == "publish" else number + 2
        assert number > 4
    assert len(copies.listed()) == (1 if kind == "mirror" else 2) and copies.all_sound()
    assert not [name for name in copies.names() if name.startswith(".")]


def test_killed_while_a_mirror_is_brought_up_to_date_it_is_whole_with_all_that_it_had(tmp_path: Path) -> None:
    source, mirror = tmp_path / "srv", tmp_path / "kept" / "docs.git"
    source.mkdir()
    mirror.parent.mkdir()
    git("init", "-q", "-b", "main", cwd=source)
    first = commit(source, "one", "2026-11-01T12:00:00+0000")
    site = make_site(tmp_path, f'[[source]]\npath = "{source}"\nmirror = "{mirror}"')
    copies = Copies(site, lambda: acts.plan_source_copies(site.desk)[0], ("git", "fetch"))
    assert carry_on(site.begin(copies.plan())).outcome == "completed"
    (source / "large.bin").write_bytes(os.urandom(8 * MB))
    second = commit(source, "two", "2026-11-02T12:00:00+0000")
    run = copies.killed_in_mid_work()
    assert git("rev-parse", "main", cwd=mirror) in (first, second)
    assert copies.listed() == ["docs.git"] and copies.all_sound()
    assert carry_on(run, "rollback").outcome == "rolled-back"
    assert copies.listed() == ["docs.git"] and copies.all_sound()
    assert carry_on(site.begin(copies.plan())).outcome == "completed"
    assert git("rev-parse", "main", cwd=mirror) == second
    assert copies.all_sound() and copies.names() == ["docs.git"]
