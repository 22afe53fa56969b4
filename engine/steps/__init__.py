"""The doing: a file for each kind of step. The registry names each kind's module; it is imported when first needed.

protocol    what a step and the run know of each other
copying/    the steps that take copies
loading/    those that restore a dump
files/      those that bring the users' files back
proving/    those of a proof drill
shared/     what several steps share
"""

import importlib
from types import ModuleType

from engine.records.errors import RepriseError

STEPS = {
    "prepare": "engine.steps.prepare",
    "copy": "engine.steps.copy",
    "combine": "engine.steps.combine",
    "settings": "engine.steps.settings",
    "replay": "engine.steps.replay",
    "prove": "engine.steps.prove",
    "inspect": "engine.steps.inspect",
    "gate": "engine.steps.gate",
    "promote": "engine.steps.promote",
    "stop-application": "engine.steps.stop_application",
    "stop-server": "engine.steps.stop_server",
    "salvage": "engine.steps.salvage",
    "set-aside": "engine.steps.set_aside",
    "switch-over": "engine.steps.switch_over",
    "take-over": "engine.steps.take_over",
    "check-result": "engine.steps.check_result",
    "open": "engine.steps.open_up",
    "report": "engine.steps.report",
    "roles": "engine.steps.loading.roles",
    "load": "engine.steps.loading.load",
    "ask-database": "engine.steps.loading.ask",
    "swap-database": "engine.steps.loading.swap",
    "take-base": "engine.steps.copying.base",
    "take-dump": "engine.steps.copying.dump",
    "verify-dump": "engine.steps.copying.verify_dump",
    "take-source": "engine.steps.copying.source",
    "take-image": "engine.steps.copying.image",
    "take-media": "engine.steps.copying.media",
    "verify-copy": "engine.steps.copying.verify",
    "push": "engine.steps.copying.push",
    "beside": "engine.steps.copying.beside",
    "choose-files": "engine.steps.files.choose",
    "copy-files": "engine.steps.files.copy",
    "swap-files": "engine.steps.files.swap",
    "check-files": "engine.steps.files.check",
    "publish": "engine.steps.copying.publish",
    "look-up-files": "engine.steps.proving.look_up_files",
    "throw-away": "engine.steps.proving.throw_away",
    "verdict": "engine.steps.proving.verdict",
}

TAKEN = "taken"
"""The fact under which a step tells the copy (records.copying.TakenCopy) that it has put into the repository."""

POINT = "point"
"""The fact that carries a newer recovery point (records.target.RecoveryPoint) than the plan's."""

SALVAGED_WAL = "salvaged"
"""The fact whether production's own WAL was found, whole, and read to its end."""

DAMAGED = "damaged"
"""The fact under which a step tells what it found wrong with a copy while it copied it (records.copying.Proof)."""

RECOVERY = "recovery"
"""The fact under which a step tells what the recovery took and lost (records.recoveries.Recovery), where it knows that
better than the run's own times do."""

BUILDING = frozenset(
    {
        "prepare", "copy", "combine", "settings", "replay", "prove", "inspect", "gate", "load", "roles",
        "choose-files", "copy-files",
    }
)  # fmt: skip
"""Kinds that build the copy beside production; undoing them deletes it."""

LASTING = frozenset({"roles"})
"""Kinds whose work is in use once a run is completed: no discard takes it, and a rollback only of an unfinished run."""

THROWING = frozenset({"throw-away"})
"""Kinds that delete the copy of a proof drill: after them there is nothing to go back from."""

READING = frozenset({"inspect"})
"""Kinds that read every page of the copy, which the operator may leave out."""

CHECKING = frozenset({"check-files"})
"""Kinds that hold the files against the database, which the operator may leave out, or pass over what they find."""

SERVED = frozenset({"open", "swap-database", "swap-files"})
"""Kinds from whose beginning on others may have written into what was brought back."""


def step_module(kind: str) -> ModuleType:
    """The module with this kind's ``apply`` and ``undo`` (and ``discard``, where there is one). Raises RepriseError."""
    if kind not in STEPS:
        raise RepriseError(
            f"no step of kind {kind!r} is known", cause="the run was planned by another version of Reprise"
        )
    return importlib.import_module(STEPS[kind])
