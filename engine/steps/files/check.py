"""`check-files`: the files held against what the database refers to, before anybody else comes in; without a database
that says it, against what was wanted."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from engine.media.catalogue import key_of
from engine.media.checking import check_again, check_files, read_findings
from engine.media.choices import Choices
from engine.media.putting import storable
from engine.media.references import References, open_references
from engine.media.rescuing import rescue
from engine.records.checking import FileCheck
from engine.records.coding import from_json, to_builtins, to_json
from engine.records.errors import RepriseError, RunFailed
from engine.records.files import Files
from engine.records.plan import Check
from engine.records.rows import told_row
from engine.steps.files.asking import ask
from engine.steps.files.common import NARROWED, REFERENCES, choices_path, files_of, summary
from engine.steps.files.judging import judge
from engine.steps.files.swap import swap_of, tidy
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried
from engine.transfer.failures import writing
from engine.transfer.naming import shown

SKIPPED = "files-skipped"
"""A file in the run's folder: the run goes on whatever the files' check says."""

_CHECKED = "files_check"  # the fact that carries what the last check has found
_SHOWN = 5  # files in an error
_FEW = 10_000  # files that may have gone with their rows while a live folder was checked


class _Skipped(Exception):
    """The operator does not wait for the check."""


def apply(step: RunningStep) -> None:
    """What is missing or wrong and was moved out, by this run or one before it, comes back. What was listed as what
    nobody has is told; it stops nothing. Raises RunFailed where anything else is missing or wrong then, unless the
    operator goes on all the same. Applied again, it looks again."""
    files = files_of(step)
    if files.asked is None:
        lost = step.facts.get("files", {}).get("unrecoverable", 0)
        told = f"{lost} files could not be brought back" if lost else "every file that was chosen stands there"
        step.check(Check("files", "warn", not lost, told))
        return
    if _is_skipped(step):
        _pass_over(step)
        return

    def hear(line: str) -> None:
        if _is_skipped(step):
            raise _Skipped
        done, total, _ = map(int, line.split())
        step.progress(done, total, "files", "checking")

    try:
        said = carried(step, lambda say: _check(step, files, say), hear)
    except _Skipped:
        _pass_over(step)
        return
    except RepriseError as problem:
        finding = ": ".join(filter(None, ("the files could not be checked", problem.message, problem.cause)))
        step.check(Check("files", "warn", None, finding, "when it is open: reprise files check"))
        return
    for told in said["told"]:
        step.note(text=told)
    _tell(step, files, said)


def undo(step: RunningStep) -> None:
    """Reading leaves nothing behind; what came back went by way of the swap, which takes it back."""


def _check(step: RunningStep, files: Files, say: Say) -> object:
    references = _references(step, files)
    book = step.run_dir / "files.check"

    def check() -> FileCheck:
        return check_files(
            Path(files.folder), references, book, only=os.fsencode(files.only) if files.only else None,
            progress=lambda done, total, read: say(f"{done} {total} {read}"),
        )  # fmt: skip

    checked, told = check(), list[str]()
    for aside in filter(None, (files.set_aside, *files.earlier)):
        wrong = checked.wrong and files.asked == "gate"  # a live one is in use: it may be wrong for a while
        if not (checked.missing or wrong) or not os.path.isdir(aside):  # noqa: PTH112
            continue
        try:
            with writing(files.folder):
                rescued = _rescue(step, files, references, checked, os.fsencode(aside), say)
        except RepriseError as problem:
            told.append(f"what is missing could not be sought in {aside}: {problem.cause or problem.message}")
            continue
        if rescued:
            told.append(f"brought back from {aside}: {rescued} that were missing{' or wrong' if wrong else ''}")
            checked = check()
    if files.asked == "live" and files.place != "into" and 0 < checked.missing + checked.wrong <= _FEW:
        checked = check_again(checked, _references(step, files), book.with_name("files.check-again"))
    with Choices(choices_path(step)) as choices:
        judged = judge(choices, checked, narrowed=choices.kept(NARROWED) is not None)
        lost = {name: value for name, value in summary(choices, files).items() if name.startswith("unrecoverable")}
    named = [
        {"path": shown(os.fsdecode(each.path)), "why": each.why or each.kind, "row_samples": each.named}
        for each in judged.sample
    ]
    counts = {"listed": judged.listed, "missing": judged.missing, "wrong": judged.wrong, "sample": named}
    return {"check": to_builtins(checked), "judged": counts, "stops": judged.stops, "told": told, "lost": lost}


def _references(step: RunningStep, files: Files) -> References:
    """As the opened database says it, or the live one, which is in use: now; of a folder elsewhere as it was said when
    its files were chosen. Raises RepriseError."""
    if files.asked == "live" and files.place == "into":
        return open_references(step.run_dir / REFERENCES)
    try:
        return ask(step, step.run_dir / REFERENCES, production=True)
    except RepriseError:
        if files.asked != "live":
            raise
        return open_references(step.run_dir / REFERENCES)


def _rescue(step: RunningStep, files: Files, references: References, checked: FileCheck, aside: bytes, say: Say) -> int:
    """A folder that was built as a whole goes as a whole; in the live one each file is written down."""
    folder, draft = os.fsencode(files.folder), os.fsencode(f".reprise-{step.run_dir.name}-draft")  # no file's name
    missing = (each.path for each in read_findings(checked.book, "missing"))
    wrong = (each.path for each in read_findings(checked.book, "wrong")) if files.asked == "gate" else iter(())
    with Choices(choices_path(step)) as choices:
        ours = partial(_is_ours, choices)
        if files.place != "delta":
            return rescue(references, missing, aside, folder, draft, wrong=wrong, ours=ours)
        try:
            with swap_of(choices, files, say) as swap:
                return rescue(references, missing, aside, folder, draft, swap, wrong=wrong, ours=ours)
        finally:
            tidy(files)


def _is_ours(choices: Choices, path: bytes, status: os.stat_result) -> bool:
    """Whether it stands there as the run has put it."""
    same = "SELECT EXISTS (SELECT 1 FROM wanted WHERE key = ? AND inode = ? AND size = ? AND mtime_ns = ?)"
    row = key_of(path), status.st_ino, status.st_size, storable(status.st_mtime_ns)
    return bool(choices.number(same, *row))


def _tell(step: RunningStep, files: Files, said: dict[str, Any]) -> None:
    judged = said["judged"]
    check = from_json(to_json(said["check"]), FileCheck).as_check()
    finding, remedy = check.finding, check.remedy
    if judged["listed"]:
        finding += f"; of these {judged['listed']} were listed before: nobody has them"
        remedy = "list them with: reprise files check" if not said["stops"] else remedy
    step.fact(
        files={**step.facts.get("files", {}), **said["lost"], "check": judged},
        **{_CHECKED: finding},
    )
    step.check(Check("files", "refuse" if said["stops"] else "warn", check.ok, finding, remedy))
    if said["stops"]:
        raise _failure(step, files, judged)


def _failure(step: RunningStep, files: Files, judged: dict[str, Any]) -> RunFailed:
    run, count = step.run_dir.name, judged["missing"] + judged["wrong"]
    fast = "; without --fast every file is read before it is taken for right" if files.fast else ""
    return RunFailed(
        f"of the files that the database refers to {judged['missing']} are missing and {judged['wrong']} wrong; none "
        "of them was listed before",
        cause=_some(judged["sample"], count),
        remedy=f"reprise resume {run} checks again; reprise skip {run} goes on as it is; reprise rollback {run} takes "
        f"all back; reprise files check lists them{fast}",
    )


def _some(sample: Sequence[Mapping[str, Any]], count: int) -> str:
    """The first by name, each with the first row that refers to it, where that has a name."""
    rows = [f": {told_row(each['row_samples'][0])}" if each["row_samples"] else "" for each in sample[:_SHOWN]]
    named = "; ".join(f"{each['path']} ({each['why']}){row}" for each, row in zip(sample, rows, strict=False))
    return named + (f" and {count - _SHOWN} more" if count > _SHOWN else "")


def _is_skipped(step: RunningStep) -> bool:
    return (step.run_dir / SKIPPED).exists()


def _pass_over(step: RunningStep) -> None:
    """The operator's word; what was found before is told."""
    found = step.facts.get(_CHECKED)
    told = f"{found}; the operator went on as it is" if found else "not checked to the end: the operator skipped that"
    step.check(Check("files", "warn", False if found else None, told, "when it is open: reprise files check"))
