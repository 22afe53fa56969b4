"""`check-files`: the files held against what the database refers to, before anybody else comes in; without a database
that says it, against what was wanted."""

import os
from pathlib import Path

from engine.media.checking import check_files, read_findings
from engine.media.references import open_references
from engine.media.rescuing import rescue
from engine.records.checking import FileCheck
from engine.records.coding import from_json, to_builtins, to_json
from engine.records.errors import RepriseError
from engine.records.plan import Check
from engine.steps.files.asking import ask
from engine.steps.files.common import REFERENCES, files_of
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried
from engine.transfer.failures import writing


def apply(step: RunningStep) -> None:
    """What is missing and was moved out, by this run or one before it, comes back. What is missing or wrong then is
    told; it stops nothing: nobody has a better copy."""
    files, references = files_of(step), step.run_dir / REFERENCES

    def work(say: Say) -> object:
        found = ask(step, references, production=True) if files.asked == "gate" else open_references(references)

        def check() -> FileCheck:
            return check_files(
                Path(files.folder), found, step.run_dir / "files.check",
                progress=lambda done, total, read: say(f"{done} {total} {read}"),
            )  # fmt: skip

        checked = check()
        told: list[str] = []
        for aside in filter(None, (files.set_aside, *files.earlier)):
            if not checked.missing or not os.path.isdir(aside):  # noqa: PTH112
                continue
            missing = (each.path for each in read_findings(checked.book, "missing"))
            try:
                with writing(files.folder):
                    rescued = rescue(found, missing, os.fsencode(aside), os.fsencode(files.folder))
            except RepriseError as problem:
                told.append(f"what is missing could not be sought in {aside}: {problem.cause or problem.message}")
                continue
            if rescued:
                told.append(f"brought back from {aside}: {rescued} that were missing")
                checked = check()
        return {"check": to_builtins(checked), "told": told}

    def hear(line: str) -> None:
        done, total, _ = map(int, line.split())
        step.progress(done, total, "files", "checking")

    if files.asked is None:
        lost = step.facts.get("files", {}).get("unrecoverable", 0)
        told = f"{lost} files could not be brought back" if lost else "every file that was chosen stands there"
        step.check(Check("files", "warn", not lost, told))
        return
    try:
        said = carried(step, work, hear)
        for told in said["told"]:
            step.note(text=told)
        step.check(from_json(to_json(said["check"]), FileCheck).as_check())
    except RepriseError as problem:
        finding = ": ".join(filter(None, ("the files could not be checked", problem.message, problem.cause)))
        step.check(Check("files", "warn", None, finding, "when it is open: reprise files check"))


def undo(step: RunningStep) -> None:
    """Reading leaves nothing behind."""
