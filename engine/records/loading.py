"""What a plan that restores a dump says of it."""

from typing import Literal

from msgspec import Struct

from engine.records.survey import OsUser, Programs


class Loading(Struct, frozen=True):
    """A dump that is loaded into a fresh database ``fresh``. Where ``database`` is named, the fresh one then takes that
    name, and the one that has it now is renamed to ``aside`` (None: there is none). All absolute, all as the server
    knows them. ``contents`` and ``roles`` are files of the dump; ``roles`` None: it has none."""

    dump: str
    format: Literal["custom", "directory", "plain"]
    contents: str
    roles: str | None
    fresh: str
    database: str | None
    aside: str | None
    run_as: OsUser
    programs: Programs
    host: str
    port: int
    user: str
