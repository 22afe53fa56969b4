"""What is written down for others: the report of a run as a file, and what all recoveries together have taught."""

from pathlib import Path

from msgspec import Struct

from engine.acts.desk import Desk, open_desk
from engine.records.errors import Refused, RepriseError
from engine.records.recoveries import Objectives, Recovery
from engine.run.folder import find_run, read_run, read_run_site, read_story
from engine.run.learnt import recoveries as recoveries_in
from engine.run.report import Form, journal_digest, objectives_of, report_now
from engine.site import state_dir
from engine.transfer.noting import write_new


class Learnt(Struct, frozen=True):
    """All recoveries that the state folder knows of, oldest first, and what the site wants of one."""

    recoveries: tuple[Recovery, ...]
    objectives: Objectives


class Evidence(Struct, frozen=True):
    """The first ``bytes`` of a run's journal, all that it holds now, have this SHA-256."""

    bytes: int
    sha256: str


def recoveries(desk: Desk) -> Learnt:
    """Real recoveries, proofs and drills, and the objectives that they are held against."""
    return Learnt(recoveries_in(desk.state), objectives_of(desk.site))


def all_recoveries(site_file: Path | None, state: Path | None) -> Learnt:
    """The same where there may be no site: who only practises has none, and no objectives then. Raises SiteError where
    the one that was named is wrong."""
    try:
        objectives = objectives_of(open_desk(site_file, state).site)
    except RepriseError:
        if site_file is not None:
            raise
        objectives = Objectives()
    return Learnt(recoveries_in(state_dir(state).absolute()), objectives)


def evidence(desk: Desk, run: str) -> Evidence:
    """What an auditor recognizes a run's journal by. Raises RepriseError."""
    folder = find_run(desk.state, run)
    try:
        digest = journal_digest(folder)
    except OSError as error:
        raise RepriseError(f"the journal of {folder.name} cannot be read", cause=error.strerror) from error
    return Evidence(digest.bytes, digest.sha256)


def write_report(desk: Desk, run: str, file: Path, form: Form) -> None:
    """The report of a run as it stands, in an absent file. Raises Refused where something is there already."""
    folder = find_run(desk.state, run)
    state = read_run(folder)
    site = read_run_site(folder)
    try:
        write_anew(file, report_now(state, site, read_story(folder).facts, form))
    except OSError as error:
        raise RepriseError(f"the report of {folder.name} cannot be written", cause=str(error)) from error


def write_anew(file: Path, content: bytes) -> None:
    """A file for its owner alone. Raises Refused where something has its name, OSError; then nothing is left of it."""
    place = file.parent.resolve() / file.name
    try:
        write_new(place, content, 0o600)
    except FileExistsError:
        raise Refused(f"{file} is there already", remedy="name a file that does not exist yet") from None
