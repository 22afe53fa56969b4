"""Unfinished segments adopted: what of an archive's ``.partial`` files would make its WAL longer, and whether nobody
may write them any more. A whole segment that came later would clash: the archive command fails for ever on it, and a
stream that goes on leaves out what is between."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from engine.acts.desk import Desk, writable
from engine.acts.looking import View, contents_of, look, read_archive
from engine.acts.mounted import not_mounted
from engine.archiving.adopting import adopt, sweep
from engine.archiving.unfinished import Unfinished, read_unfinished
from engine.formats.control_file import read_control_file
from engine.postgres.processes import postmaster_pid, running_on
from engine.records.copies import UnfinishedSegment
from engine.records.errors import DamagedCopy, RepriseError, Unreachable
from engine.records.lsn import Lsn, parse_segment
from engine.records.status import Adoption
from engine.run.locks import hold_folder, site_lock, take_lock
from engine.site import DatabaseRepository, Site
from engine.survey.patience import within
from engine.survey.server import ask_timeline
from engine.system.users import default_run_as
from engine.wal.index import WalIndex
from engine.wal.tail import read_tail

_PATIENCE = 20.0  # seconds, for a data directory on a file system that hangs


def adopt_unfinished(desk: Desk, *, apply: bool = False) -> Adoption:
    """The unfinished segments that continue their archive, and may be adopted; with ``apply`` they are, under the
    site's lock.

    Raises Unreachable where no archive answers, RepriseError where a run holds the site, or something cannot be
    written.
    """
    if not apply:
        with _judged(desk) as (found, findings):
            return _adoption(found, findings)
    with _locked(writable(desk)), _judged(desk) as (found, findings):
        for folder in {each.told.path.parent for each in found}:
            sweep(folder)
        for each in found:
            if each.told.why_not is None:
                adopt(each)
        adoption = _adoption(found, findings)
    read_archive(desk)
    return adoption


def unfinished_segments(desk: Desk, view: View, repository: str) -> tuple[UnfinishedSegment, ...]:
    """What the index knows of the unfinished segments of one repository, for a plan; who may still write them is not
    asked. Where they cannot be read, they are only named."""
    own = next((each for each in desk.site.database.repository if each.base_backups == repository), None)
    index = view.histories.get(repository)
    if own is None or not isinstance(index, WalIndex) or not index.unfinished():
        return ()
    try:
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=desk.state) as scratch:
            found = list(read_unfinished(index, own.wal, _starts(view, own), Path(scratch)))
    except (OSError, RepriseError) as error:
        names = [(path, path.name[:24]) for path in index.unfinished()]
        return tuple(
            UnfinishedSegment(path, own.wal, name, int(name[:8], 16), why_not=str(error)) for path, name in names
        )
    return tuple(each.told for each in found)


@contextmanager
def _locked(desk: Desk) -> Iterator[None]:
    """Nobody else changes the site's archives meanwhile."""
    with ExitStack() as stack:
        site = desk.site
        lock = take_lock(site_lock(desk.state, site.name), "archiving adopt", f"a run holds the site {site.name!r}")
        stack.callback(lock.release)
        for place in dict.fromkeys(each.wal for each in site.database.repository):
            held = hold_folder(Path(place), f"another run holds {place}")
            if held is not None:
                stack.callback(held.release)
        yield


@contextmanager
def _judged(desk: Desk) -> Iterator[tuple[list[Unfinished], list[str]]]:
    """Every unfinished segment, with what was unpacked of it as long as this goes on; and what else is to be said."""
    read_archive(desk)
    view = look(desk)
    found: list[Unfinished] = []
    findings: list[str] = []
    try:
        with tempfile.TemporaryDirectory(prefix="adopting-", dir=desk.state) as scratch:
            for number, repository in enumerate(desk.site.database.repository):
                if (why := _away(desk, repository)) is not None:
                    findings.append(why)
                    continue
                index = view.histories[repository.base_backups]
                assert isinstance(index, WalIndex)
                production = _Production(desk.site, repository.wal, index.segment_size)
                room = Path(scratch, f"archive-{number}")
                room.mkdir()
                for each in read_unfinished(index, repository.wal, _starts(view, repository), room):
                    found.append(production.judge(each))
            if len(findings) == len(desk.site.database.repository):
                raise Unreachable(findings[0], remedy="bring the archive back (mount, network), then adopt again")
            yield found, findings
    except OSError as problem:
        raise RepriseError(f"nothing can be written into {desk.state}", cause=problem.strerror) from None


def _away(desk: Desk, repository: DatabaseRepository) -> str | None:
    """Why nothing can be said of an archive."""
    if (told := not_mounted(repository.wal)) is not None:
        return told
    contents = contents_of(desk, repository, list_wal=False)
    return None if contents.archive_answers else contents.archive_problem or f"{repository.wal} does not answer"


def _starts(view: View, repository: DatabaseRepository) -> list[tuple[int, Lsn]]:
    """Where the usable backups of a repository begin."""
    return [
        (each.timeline, each.start_lsn)
        for each in view.catalog.base_backups
        if each.repository == repository.base_backups and each.usable
        if each.timeline is not None and each.start_lsn is not None
    ]


def _adoption(found: list[Unfinished], findings: list[str]) -> Adoption:
    told = [each.told for each in found]
    adopting = tuple(each for each in told if each.why_not is None)
    for timeline in sorted({each.timeline for each in adopting}):
        findings.append(
            f"no server may write timeline {timeline} any more, here or elsewhere: whole segments that came later "
            "would clash with what is adopted"
        )
    return Adoption(adopting, tuple(each for each in told if each.why_not is not None), tuple(findings))


class _Server(Struct, frozen=True):
    """The site's own, which is there: ``told`` says how that is known. ``system`` and ``timeline``: None where it does
    not say."""

    told: str
    system: int | None
    timeline: int | None

    def writes(self, system: int, timeline: int) -> bool:
        return self.system in (None, system) and self.timeline in (None, timeline)


class _Production:
    """What may still write the unfinished segments of an archive: the site's server, what lies in its data directory,
    a stream. Asked only where that decides."""

    def __init__(self, site: Site, wal: str, segment_size: int) -> None:
        self.site, self.wal, self.segment_size = site, wal, segment_size

    def judge(self, found: Unfinished) -> Unfinished:
        """The same, refused where somebody may still write it."""
        if found.told.why_not is not None:
            return found
        refusal = self._refusal(found)
        if refusal is None:
            return found
        why, remedy = refusal
        return replace(found, told=replace(found.told, why_not=why, remedy=remedy, refused=True))

    def _refusal(self, found: Unfinished) -> tuple[str, str] | None:
        told, server, data_dir = found.told, self._server, self.site.database.data_dir
        if server is not None and server.writes(found.system_identifier, told.timeline):
            return (
                f"{server.told}: the whole segment will come, and would clash",
                "it is not needed: reprise restore --latest --in-place stops the server and salvages its pg_wal, which "
                "holds more; for a side copy archive it first: SELECT pg_switch_wal()",
            )
        elsewhere = server is not None and server.timeline is not None and server.timeline > told.timeline
        if self._streams and not elsewhere:
            return (
                f"a stream still runs (pg_receivewal, process {self._streams[0]}): it would go on behind it",
                "where the server is gone for good: end the stream, then adopt",
            )
        if not elsewhere and within(_PATIENCE, lambda: self._holds(found), False):
            return (
                f"{data_dir}/pg_wal has this segment too, as far or further",
                "reprise restore --latest --in-place salvages it from there; where that cluster shall never run "
                f"again: rename {data_dir}, then adopt",
            )
        return None

    @cached_property
    def _server(self) -> _Server | None:
        database = self.site.database
        try:
            run_as = default_run_as(database.run_as, database.data_dir)
        except RepriseError:  # nobody that a server could belong to
            run_as = None
        if run_as is not None:
            try:
                system, timeline = ask_timeline(self.site, run_as)
                return _Server(f"production's server answers, on timeline {timeline}", system, timeline)
            except Unreachable as error:
                if "FATAL" in (error.cause or ""):  # there is one, and it lets nobody in
                    return _Server(f"production's server is there ({error.cause})", *self._noted)
        pid = within(_PATIENCE, lambda: postmaster_pid(Path(database.data_dir)), None)
        if pid is not None:
            return _Server(f"production's server runs on {database.data_dir} (process {pid})", *self._noted)
        return None

    @cached_property
    def _noted(self) -> tuple[int | None, int | None]:
        """The system identifier and the timeline in production's pg_control."""
        path = Path(self.site.database.data_dir, "global", "pg_control")
        try:
            content = within(_PATIENCE, path.read_bytes, b"")
            control = read_control_file(content)
        except DamagedCopy:
            return None, None
        return control.system_identifier, control.timeline

    @cached_property
    def _streams(self) -> list[int]:
        return running_on("pg_receivewal", Path(self.wal))

    def _holds(self, found: Unfinished) -> bool:
        """Whether production's pg_wal has the same segment, no shorter."""
        told = found.told
        path = Path(self.site.database.data_dir, "pg_wal", told.segment)
        tail = read_tail(path, *parse_segment(told.segment, found.size))
        if tail is None or tail.system_identifier != found.system_identifier:
            return False
        return tail.valid_to >= (told.end_lsn or 0)
