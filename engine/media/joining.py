"""Files and database brought back together: the files' steps in the plan of a restore."""

from msgspec.structs import replace

from engine.records.files import Files
from engine.records.plan import Check, Plan, PlannedStep

# The first of these that a plan has is what they come before.
_COPIED_BEFORE = ("stop-application", "stop-server", "switch-over", "promote")
_CHOSEN_BEFORE = ("gate", *_COPIED_BEFORE)
_KEPT = (
    "files-behind",
    "media-snapshot",
    "mount-point",
    "fast",
    "shared-files",
    "set-aside-files",
    "moved-out",
)  # checks that the two do not share


def with_files(plan: Plan, files: Plan) -> Plan:
    """One plan of both. What is copied is chosen when the recovered server stands at its gate, so that the operator
    who looks there sees what will come back; it is copied before production is touched; the folders change places after
    the clusters did; the files are checked before anybody else comes in."""
    assert files.files is not None
    asked: Files = replace(files.files, asked="gate" if files.files.asked is not None else None)
    by_kind = {step.kind: step for step in files.steps}
    narrowed = ", narrowed to what the database refers to" if asked.asked else ""
    names = ", ".join(each.id for each in asked.snapshots)
    choose = replace(by_kind["choose-files"], title=f"choose files from {names}{narrowed}")
    chosen_before, copied_before = (
        next(kind for kind in kinds if any(step.kind == kind for step in plan.steps))
        for kinds in (_CHOSEN_BEFORE, _COPIED_BEFORE)
    )
    steps: list[PlannedStep] = []
    for step in plan.steps:
        if step.kind == chosen_before:
            steps.append(choose)
        if step.kind == copied_before:
            steps.append(by_kind["copy-files"])
        steps.append(step)
        if step.kind == "switch-over" and "swap-files" in by_kind:
            steps.append(by_kind["swap-files"])
        if step.kind == "check-result":
            steps.append(by_kind["check-files"])
    told = {check.name for check in plan.checks}
    checks = (*plan.checks, *(_named(check) for check in files.checks if check.name not in told or check.refuses))
    return replace(plan, steps=tuple(steps), checks=checks, files=asked)


def _named(check: Check) -> Check:
    """A check that a restore has too, under a name of the files' own."""
    return check if check.name in _KEPT or check.name == "media-folder" else replace(check, name=f"files-{check.name}")
