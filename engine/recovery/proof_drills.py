"""Proof drills: the plan of a side copy that proves the copies it is made from and is thrown away; which moment; what
counts as a proof."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from random import Random

from msgspec.structs import replace

from engine.records.files import Files
from engine.records.plan import Check, Layout, Limits, Plan, PlannedStep, ProofDrill
from engine.records.survey import FileSystem
from engine.records.target import RecoveryPoint, RecoveryTarget, RecoveryWindow
from engine.recovery.checks.question import size_words
from engine.recovery.estimates import Measured, estimate
from engine.recovery.sizes import copy_needs

_AFTERWARDS = ("report", "throw-away", "verdict")  # kinds of steps that come when the copy is open and checked
_DISPROVING = ("verify", "databases", "libraries", "page-checksums", "files")  # checks of the result a proof needs
_DECIDED = ("verify", "databases")  # and of those, the ones that must be decided
_LEFT_SHARE, _LEFT_BYTES = 20, 10 << 30  # what stays free for others: this part of the file system, at most so much


def as_proof(
    plan: Plan,
    proof: ProofDrill,
    limits: Limits,
    files: Files | None,
    checks: Sequence[Check],
    measured: Iterable[Measured],
) -> Plan:
    """The plan of a side copy made a proof drill's. ``files``: the snapshots in which what the database refers to is
    looked up; None: that is left out. ``checks`` come after the plan's own, and replace those of the same name."""
    named = {check.name for check in checks}
    told = (*(check for check in plan.checks if check.name not in named), *checks)
    if not plan.steps:
        return replace(plan, checks=told, limits=limits, proof=proof)
    steps = [step for step in plan.steps if step.kind != "report"]
    if files is not None:
        steps.append(_step("look-up-files", "look the files up that the database refers to"))
    steps.append(_step("report", "keep the server's log"))
    steps.append(_step("throw-away", "throw the copy away"))
    steps.append(_step("verdict", "say whether the copies are proven"))
    return replace(
        plan,
        steps=tuple(steps),
        checks=told,
        files=files,
        limits=limits,
        proof=proof,
        estimate=estimate(steps, measured, limits),
    )


def _step(kind: str, title: str) -> PlannedStep:
    return PlannedStep(kind, kind, title, None, {})


def random_target(windows: Sequence[RecoveryWindow], chance: Random) -> RecoveryTarget | None:
    """A moment that one of the backups reaches: each backup has the same chance, then each moment of its window. None
    where there is no window."""
    if not windows:
        return None
    window = chance.choice(list(windows))
    if window.from_at is None or window.to_at is None or window.to_at < window.from_at:
        return RecoveryTarget("immediate", backup=window.backup, timeline=window.timeline)
    length = (window.to_at - window.from_at) / timedelta(microseconds=1)
    at = window.from_at + timedelta(microseconds=chance.randint(0, int(length)))
    return RecoveryTarget("time", time=at, backup=window.backup, timeline=window.timeline)


def limits_check(limits: Limits) -> Check:
    """What the drill keeps to."""
    told = [f"nice {limits.nice}", "the disks when nobody else wants them" if limits.idle_io else "the disks as others"]
    if limits.bytes_per_second is not None:
        told.append(f"{size_words(limits.bytes_per_second)} a second of the repositories at most")
    return Check("proof-limits", "info", True, ", ".join(told))


def room_check(point: RecoveryPoint, layout: Layout, room: FileSystem, shared_with: Sequence[str]) -> Check | None:
    """Whether enough is left for those that ``room``, the copy's file system, is shared with: production, its archive.
    None where it is shared with nobody, or how much the copy takes is not known."""
    needs = copy_needs(point, layout)
    if not shared_with or needs is None:
        return None
    left = room.free_bytes - sum(need.bytes for need in needs)
    wanted = min(room.total_bytes // _LEFT_SHARE, _LEFT_BYTES)
    whose = ", ".join(shared_with)
    told = f"{size_words(max(0, left))} stay free on {room.mount_point} beside the copy, for {whose}"
    if left >= wanted:
        return Check("proof-room", "refuse", True, told)
    remedy = 'name a folder on another file system in the site file: [proof] into = "/…"'
    return Check("proof-room", "refuse", False, f"{told}; {size_words(wanted)} shall", remedy)


def disproving(checks: Iterable[Check]) -> tuple[Check, ...]:
    """The checks of the result that say no: the site's questions, databases that cannot be opened, libraries, pages and
    pg_amcheck, users' files. The last word of each counts; other warnings are told and disprove nothing."""
    last: dict[tuple[str, str], Check] = {}
    for check in checks:
        last[check.name, check.finding if check.name == "verify" else ""] = check
    return tuple(
        check
        for check in last.values()
        if check.name in _DISPROVING and (check.ok is False or (check.name in _DECIDED and check.ok is not True))
    )


def seconds_to_open(plan: Plan, seconds: Mapping[str, float | None]) -> float | None:
    """From the beginning to the copy open and checked, by what each step took; None where one was interrupted or held,
    or is not done."""
    taken = [seconds.get(step.name) for step in plan.steps if step.kind not in _AFTERWARDS]
    return None if None in taken else round(sum(each for each in taken if each is not None), 3)
