"""A dump restored: the full way."""

import os
from datetime import UTC, datetime
from pathlib import Path

from engine.acts.copying import programs_of
from engine.acts.desk import Desk
from engine.acts.following import measured
from engine.acts.looking import View, look
from engine.dumps.restoring import LoadAsked, plan_load
from engine.records.errors import Unreachable, UsageError
from engine.records.plan import Plan
from engine.records.survey import LiveDatabase
from engine.survey.machine import file_system
from engine.survey.server import ask_databases
from engine.system.users import default_run_as


def plan_dump_restore(
    desk: Desk, dump: str, *, database: str | None = None, beside: bool = False, view: View | None = None
) -> Plan:
    """The plan that restores a dump in its database's place (``database``: another one's), or ``beside`` it under that
    name. Changes nothing. Raises UsageError for a dump that is not there."""
    found = next((each for each in (view or look(desk)).catalog.dumps if each.id == dump), None)
    if found is None:
        raise UsageError(f"there is no dump {dump!r}", remedy="list them with: reprise catalog")
    into = database or found.database
    if into is None:
        raise UsageError(f"{dump} does not say which database it holds", remedy="name one: --database NAME")
    site = desk.site.database
    run_as = default_run_as(site.run_as, site.data_dir, [found.path])
    version: int | None = None
    databases: list[LiveDatabase] = []
    no_server = None
    try:
        version, databases = ask_databases(desk.site, run_as)
    except Unreachable as error:
        no_server = ": ".join(filter(None, (error.message, error.cause)))
    asked = LoadAsked(
        desk.site.name,
        into,
        beside,
        site.host,
        site.port,
        site.user,
        jobs=max(1, min(8, os.cpu_count() or 1)),
        has_application=bool(desk.site.application.stop or desk.site.application.start),
        verifies=len(desk.site.verify.sql) if site.dbname == into else 0,
    )
    return plan_load(
        asked,
        found,
        version,
        no_server,
        databases,
        file_system(site.data_dir) if Path(site.data_dir).exists() else None,
        run_as=run_as,
        programs=programs_of(desk, run_as, version),
        now=datetime.now(UTC),
        measured=measured(desk),
    )
