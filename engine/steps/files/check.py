"""`check-files`: the files held against what the database refers to, and against what was wanted."""

from pathlib import Path

from engine.media.checking import check_files
from engine.media.references import open_references
from engine.records.checking import FileCheck
from engine.records.coding import from_json, to_builtins, to_json
from engine.records.plan import Check
from engine.steps.files.common import REFERENCES, files_of
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried


def apply(step: RunningStep) -> None:
    files, references = files_of(step), step.run_dir / REFERENCES

    def work(say: Say) -> object:
        found = check_files(
            Path(files.folder), open_references(references), step.run_dir / "files.check",
            progress=lambda done, total, read: say(f"{done} {total} {read}"),
        )  # fmt: skip
        return to_builtins(found)

    def hear(line: str) -> None:
        done, total, _ = map(int, line.split())
        step.progress(done, total, "files", "checking")

    if references.is_file():
        step.check(from_json(to_json(carried(step, work, hear)), FileCheck).as_check())
    else:
        lost = step.facts.get("files", {}).get("unrecoverable", 0)
        step.check(Check("files", "warn", not lost, f"{lost} files could not be brought back"))


def undo(step: RunningStep) -> None:
    """Reading leaves nothing behind."""
