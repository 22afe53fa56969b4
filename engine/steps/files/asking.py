"""What the database refers to, asked of the one that the plan means."""

from contextlib import closing
from pathlib import Path

from engine.media.references import References, collect
from engine.postgres.asking import asked
from engine.postgres.connecting import Connection
from engine.postgres.server import connect_site
from engine.records.errors import RunFailed
from engine.steps.files.common import files_of
from engine.steps.protocol import RunningStep
from engine.steps.shared.layout import layout_of
from engine.steps.shared.recovering import server_of
from engine.system.users import default_run_as

NAME = "[media] references"


def ask(step: RunningStep, into: Path, *, production: bool) -> References:
    """Gather them in the file ``into``. ``production``: the recovered cluster stands in its final place already.
    Raises RepriseError, Unreachable."""
    media = step.site.media
    if media is None or media.references is None:
        raise RunFailed("the site does not say which files the database refers to", remedy=f"set {NAME}")
    with closing(_connect(step, production)) as connection, asked(connection, media.references, NAME) as (names, rows):
        return collect(rows, into, media.strip_prefix, names)


def _connect(step: RunningStep, production: bool) -> Connection:
    if files_of(step).asked == "live":
        database = step.site.database
        return connect_site(database, default_run_as(database.run_as, database.data_dir))
    layout = layout_of(step.plan)
    place = layout.production if production and layout.production else layout.data_dir
    return server_of(step, Path(place)).connect()
