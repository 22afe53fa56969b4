"""The server of a side copy, found again from its run's folder."""

from pathlib import Path

import msgspec
from msgspec.structs import replace

from engine.acts.desk import Desk
from engine.acts.running import _copy_of
from engine.records.plan import Layout
from engine.records.survey import OsUser, Programs
from engine.run import folder as folders
from engine.run.folder import create_run
from engine.run.journal import Journal
from engine.run.story import Story
from tests.run.toys import planned, site


def test_a_copy_is_asked_as_the_user_and_the_database_of_its_own_site(tmp_path: Path) -> None:
    there = site()
    there = msgspec.structs.replace(there, database=msgspec.structs.replace(there.database, user="dms", dbname="docs"))
    programs = Programs("/nowhere/bin", 15, "15.1")
    layout = Layout("/c", "/c/data", "/c/staging", "/c/own", "/c/sockets", 5555, OsUser("nobody", 1, 1), programs)
    run = create_run(tmp_path / "state", replace(planned(tmp_path / "copy"), layout=layout), there)
    journal = Journal(run / folders.JOURNAL, Story().hear)
    journal.append("engine", {"act": "apply", "pid": 1})
    journal.append("finished", {"outcome": "completed", "error": None})
    journal.close()
    server = _copy_of(Desk(site(), tmp_path / "site.toml", tmp_path / "state"), run.name)
    assert (server.database_user, server.dbname) == ("dms", "docs")
