"""The scenario files: found, read, checked. A wrong one is explained by its file, its key, and what would be right."""

import difflib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import platformdirs

from engine.drill import scenario as words
from engine.drill.facts import placeholders, read_fingerprint
from engine.drill.scenario import Named, Scenario
from engine.lab.copies import LabCopy
from engine.records.copies import Problem
from engine.records.errors import UsageError
from engine.site.durations import FORM, read_duration
from engine.site.mistakes import explain

_OURS = Path(__file__).parent / "scenarios"
_NAME = re.compile(r"(?:[0-9]+-)?([a-z][a-z0-9-]{0,60})\Z")
_STEPS = [kind.__struct_config__.tag for kind in words.Step.__subclasses__()]
_MARKS = [kind.__struct_config__.tag for kind in words.MarkOf.__subclasses__()]
_CHOICES: dict[str, tuple[str, ...]] = {"what": get_args(LabCopy), "mode": ("fast", "immediate"), "keep": ("pg_wal",)}
Mistake = tuple[str, str, str]


def own_places(given: Path | None) -> list[Path]:
    """Where a team keeps scenarios of its own: ``given`` alone, else the user's and the machine's settings."""
    return (
        [given]
        if given is not None
        else [platformdirs.user_config_path("reprise") / "drills", Path("/etc/reprise/drills")]
    )


def list_scenarios(given: Path | None = None) -> tuple[list[Named], list[Problem]]:
    """All scenarios, ours first, in the order of their file names; and the files that are wrong. Of two with one name
    the one that `find_scenario` finds."""
    found: dict[str, Named] = {}
    problems = []
    for path, own in _files(given):
        try:
            named = read_scenario(path, own=own)
            found[named.name] = named
        except UsageError as error:
            problems.append(Problem(str(path), error.message, error.remedy))
            found.pop(_name_of(path) or "", None)
    return list(found.values()), problems


def find_scenario(name: str, given: Path | None = None) -> Named:
    """A scenario by its name; the team's wins over ours. Raises UsageError."""
    known = {_name_of(path): (path, own) for path, own in _files(given)}
    if name not in known:
        near = difflib.get_close_matches(name, filter(None, known), 1)
        raise UsageError(
            f"there is no scenario {name!r}",
            remedy=f"meant {near[0]}?" if near else "list them with: reprise drill list",
        )
    path, own = known[name]
    return read_scenario(path, own=own)


def _files(given: Path | None) -> Iterator[tuple[Path, bool]]:
    for folder, own in [(_OURS, False), *((place, True) for place in own_places(given))]:
        if own and given is not None and not folder.is_dir():
            raise UsageError(f"--scenarios: {folder} is no folder", remedy="name the folder that holds your *.toml")
        for path in sorted(folder.glob("*.toml")):
            yield path, own


def _name_of(path: Path) -> str | None:
    found = _NAME.match(path.stem)
    return found[1] if found else None


def read_scenario(path: Path, *, own: bool = True) -> Named:
    """Read and check one file. Raises UsageError that names the file, the key, and what would be right."""
    name = _name_of(path)
    if name is None:
        raise UsageError(f"{path}: not the name of a scenario", remedy="such as table-dropped.toml, or 13-our-own.toml")
    try:
        found = msgspec.convert(tomllib.loads(path.read_text("utf-8")), Scenario)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: cannot be read: {error}", remedy="a TOML file, in UTF-8") from None
    except msgspec.ValidationError as error:
        key, wrong, right = _explained(str(error))
        raise UsageError(f"{path}: {key}: {wrong}", remedy=right) from None
    for key, wrong, right in _mistakes(found):
        raise UsageError(f"{path}: {key}: {wrong}", remedy=right)
    return Named(name, str(path), own, found)


def _explained(error: str) -> tuple[str, str, str | None]:
    what, _, where = error.partition(" - at `$")
    place = where.rstrip("`").lstrip(".")
    if place.endswith((".do", ".check")) and what.startswith("Invalid value"):
        known = _MARKS if place.endswith(".check") else [*_STEPS, "repository-away"]
        return place, f"unknown: {what.removeprefix('Invalid value ')}", f"one of: {', '.join(map(str, known))}"
    if what.startswith("Invalid enum value "):
        values = next((values for name, values in _CHOICES.items() if re.search(rf"\.{name}\b", place)), ())
        return place, f"unknown value {what.removeprefix('Invalid enum value ')}", f"one of: {', '.join(values)}"
    return explain(error, Scenario)


def _mistakes(found: Scenario) -> Iterator[Mistake]:
    """What is typed right and still wrong."""
    for key in ("title", "briefing", "debriefing"):
        if not getattr(found, key).strip():
            yield key, "says nothing", "some words for the operator"
    try:
        read_duration(found.limit)
    except ValueError:
        yield "limit", f"{found.limit!r} is no duration", FORM
    if not any(mark.points > 0 and mark.needed for mark in found.marks):
        yield "marks", "nothing decides whether the drill is solved", "at least one mark with points that is needed"
    if not found.solution:
        yield "solution", "empty", 'command lines of reprise: [["restore", "--latest", "--in-place", "--yes"]]'
    for number, mark in enumerate(found.marks):
        if mark.points < 0:
            yield f"marks[{number}].points", f"{mark.points} points cannot be given", "a number from 0 on"
    for part, lines in (("solution", found.solution), ("wrong", found.wrong)):
        for number, line in enumerate(lines):
            if not line or (line[0] in words.BY_HAND and len(line) != 2):
                yield f"{part}[{number}]", "no line", 'words of a command, or ["sql", "STATEMENT"]'
    for number, hint in enumerate(found.hints):
        if hint.cost < 0:
            yield f"hints[{number}].cost", f"{hint.cost} points cannot be taken", "a number from 0 on"
    yield from _steps(found)
    yield from _unknown_facts(found)


def _steps(found: Scenario) -> Iterator[Mistake]:
    steps = [("prepare", n, step) for n, step in enumerate(found.prepare)]
    steps += [("break", n, step) for n, step in enumerate(found.break_)]
    for part, number, step in steps:
        key = f"{part}[{number}]"
        if isinstance(step, words.Work) and not (0 < step.seconds <= 600 and 0 < step.pause <= 60):
            yield key, "seconds and pause must be above 0", "seconds = 3, at most 600"
        if isinstance(step, words.DeleteFiles) and not 0 < step.share <= 1:
            yield f"{key}.share", f"{step.share} is no share", "a number above 0, at most 1"
        if isinstance(step, words.Reprise) and not step.words:
            yield f"{key}.words", "no command", '["restore", "--latest", "--in-place", "--yes"]'
        for table in step.fingerprint if isinstance(step, words.Sql) else ():
            try:
                read_fingerprint(table)
            except ValueError as error:
                yield f"{key}.fingerprint", f"{table!r} names no table", str(error)
    for number, mark in enumerate(found.marks):
        if isinstance(mark, words.SameTable):
            try:
                read_fingerprint(mark.table)
            except ValueError as error:
                yield f"marks[{number}].table", f"{mark.table!r} names no table", str(error)


def _unknown_facts(found: Scenario) -> Iterator[Mistake]:
    """What a mark or a command line names, and no step notes."""
    steps = (*found.prepare, *found.break_)
    noting = {step.name: step for step in steps if not isinstance(step, words.RestorePoint) and hasattr(step, "name")}
    known = f"noted are: {', '.join(sorted(noting)) or 'none'}"
    for number, mark in enumerate(found.marks):
        like = getattr(mark, "like", None)
        if like is None:
            continue
        step = noting.get(like)
        key = f"marks[{number}].like"
        if step is None:
            yield key, f"no step notes {like!r}", known
        elif isinstance(mark, words.SameFiles):
            if not isinstance(step, words.NoteFiles):
                yield key, f"{like!r} notes no files", "the name of a note-files step"
        else:
            table = mark.table if isinstance(mark, words.SameTable) else "audit_trail"
            if not isinstance(step, words.Sql) or table not in step.fingerprint:
                yield key, f"{like!r} takes no fingerprint of {table}", f'add "{table}" to that step\'s fingerprint'
    for part, part_steps in (("prepare", found.prepare), ("break", found.break_)):
        for number, each in enumerate(part_steps):
            holds = each.holds if isinstance(each, words.DeleteSegment) else None
            if holds is not None and not isinstance(noting.get(holds), words.Sql):
                yield f"{part}[{number}].holds", f"no sql step notes {holds!r}", known
    texts = [(f"marks[{n}].sql", mark.sql) for n, mark in enumerate(found.marks) if isinstance(mark, words.SqlTrue)]
    for part, done in (("prepare", found.prepare), ("break", found.break_)):
        for n, each in enumerate(done):
            said = each.statements if isinstance(each, words.Sql) else ()
            said = each.words if isinstance(each, words.Reprise) else said
            texts += [(f"{part}[{n}]", text) for text in said]
    for part, lines in (("solution", found.solution), ("wrong", found.wrong)):
        texts += [(f"{part}[{n}]", word) for n, line in enumerate(lines) for word in line]
    for key, text in texts:
        for name in placeholders(text):
            if name.split(".")[0] not in ({*noting} if key.startswith(("prepare", "break")) else {*noting, "lab"}):
                yield key, f"no step notes {{{name}}}", known
