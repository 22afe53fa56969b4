"""What a plan that takes a copy says of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, field

from engine.records.survey import OsUser, Programs

CopyKind = Literal["base", "dump", "media", "source", "image"]


def names_beside(kind: CopyKind, name: str) -> tuple[str, ...]:
    """What Reprise itself puts beside a copy called ``name``, by its exact names; nothing else belongs to the copy."""
    if kind == "base":
        return (f"{name}.beside",)
    if kind == "media":
        return (f"{name}.json", f"{name}.catalogue.zst")
    if kind == "source" and name.endswith(".bundle"):
        return (f"{name}.json",)
    if kind == "image" and name.endswith(".json"):  # its note is the copy's name; a registered one has nothing beside
        return (f"{name.removesuffix('.json')}.tar.zst",)
    return ()


class Copying(Struct, frozen=True):
    """One copy that is to be taken. All paths absolute.

    ``id`` is its name in ``repository`` (a folder). It is built in ``draft``, whose name begins with a dot, so that no
    reader takes it for a copy, and gets its name ``path`` by a rename when it is complete and verified. ``owner`` is
    whose it will be, and who runs the programs that make it. ``parent`` is the copy that it is based on: the backup
    that an incremental one needs, the snapshot that a media snapshot shares its unchanged files with. ``second`` is the
    place on another server that it is pushed to.
    """

    kind: CopyKind
    id: str
    repository: str
    path: str
    draft: str
    owner: OsUser
    programs: Programs | None = None
    parent: str | None = None
    second: str | None = None


class TakenCopy(Struct, frozen=True):
    """A copy that a run has taken."""

    id: str
    kind: CopyKind
    path: str
    size_bytes: int | None
    started_at: datetime
    stopped_at: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)


class Proof(Struct, frozen=True):
    """What came of verifying a copy: ``kind`` is a copy's, or ``wal`` for a repository's archive. ``at`` is when it
    ended; ``findings`` are empty where all is right. ``ok`` None: there is nothing to verify it by. ``drill``: the run
    of a proof drill that restored it, where it was not verified by itself."""

    id: str
    kind: CopyKind | Literal["wal"]
    repository: str
    at: datetime
    ok: bool | None
    findings: tuple[str, ...] = ()
    seconds: float = 0.0
    drill: str | None = None


class RefusedProof(Struct, frozen=True):
    """The site's last proof drill came to no run: when, and which check or circumstance refused it."""

    at: datetime
    why: str
