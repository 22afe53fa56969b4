"""`choose-files`: which file from which snapshot, narrowed to what a database refers to where the plan says so, and
what the live folder has right already. Reads only; what is decided stands in the run's folder."""

import json
import os
from contextlib import closing
from pathlib import Path

from engine.media.choices import Choices
from engine.media.choosing import choose
from engine.media.references import References, collect
from engine.postgres.asking import asked
from engine.postgres.server import connect_site
from engine.records.errors import RunFailed
from engine.site import Site
from engine.steps.files.common import REFERENCES, choices_path, files_of, heard, held_by, look, summary
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried
from engine.system.users import default_run_as

NAME = "[media] references"


def apply(step: RunningStep) -> None:
    files, held = files_of(step), held_by(step)
    only = os.fsencode(files.only) if files.only else None

    def work(say: Say) -> object:
        references = _ask(step.site, step.run_dir / REFERENCES) if files.asked == "live" else None
        with Choices(choices_path(step)) as choices:
            choose(choices, held, files.moment, references, only, lambda count: say(json.dumps([count, 0])))
            look(choices, files, held, say)
            return summary(choices, files)

    step.fact(files=carried(step, work, heard(step, "looking")))


def _ask(site: Site, into: Path) -> References:
    """What the live database refers to."""
    media, database = site.media, site.database
    if media is None or media.references is None:
        raise RunFailed("the site does not say which files the database refers to", remedy=f"set {NAME}")
    user = default_run_as(database.run_as, database.data_dir)
    with closing(connect_site(database, user)) as connection, asked(connection, media.references, NAME) as (_, rows):
        return collect(rows, into, media.strip_prefix)


def undo(step: RunningStep) -> None:
    """What was decided stays with the run."""
