"""Verifying copies: each read to its end and held against what it says of itself. Results are remembered."""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from msgspec import Struct

from engine.acts.desk import Desk
from engine.acts.drilled import known_proofs
from engine.acts.looking import View, contents_of, look
from engine.acts.mounted import not_mounted, not_the_archive
from engine.archiving.unfinished import shortened
from engine.backup.chains import COMBINES_FROM, try_chain
from engine.catalog.waiting import PATIENCE
from engine.dumps.layout import CONTENTS, GLOBALS, NOTE
from engine.dumps.whole import read_globals_through, read_through
from engine.environment.images import verify_image
from engine.keeping.proofs import keep_proof, of_copies, one_for_each
from engine.media.verifying import verify_snapshot
from engine.postgres.programs import choose_programs
from engine.records.copies import BaseBackup, Catalog, Dump, ImageCopy, MediaSnapshot, SourceCopy
from engine.records.copying import CopyKind, Proof
from engine.records.errors import DamagedCopy, RepriseError, Unreachable, UsageError
from engine.recovery.lines import name_missing
from engine.site import DatabaseRepository, Site
from engine.source.copies import check_bundle, check_repository
from engine.source.git import who_reads
from engine.survey.patience import within
from engine.system.users import current_user
from engine.transfer.verifying import verify_backup
from engine.wal.index import WalIndex

Progress = Callable[[str, int, int | None], None]


class _Subject(Struct, frozen=True):
    """One thing that can be verified: ``work`` gives its findings, none where all is right."""

    id: str
    kind: CopyKind | str
    repository: str
    work: Callable[[Callable[[int, int | None], None]], list[str]]


_OWN_CHECK = {"restic": "restic check --read-data", "borg": "borg check --verify-data"}


class _Unprovable(Exception):
    """There is nothing to hold it against, or it is not what is there now."""


class _NotOurs(_Unprovable):
    """Another program's copy, which that program verifies: nothing of it is remembered, nor held against it."""


class _Away(_Unprovable):
    """A place of copies that cannot be looked into now: it is told, and nothing of it is remembered."""


def verify(desk: Desk, ids: Iterable[str] = (), *, progress: Progress = lambda what, done, total: None) -> list[Proof]:
    """Verify the copies with these ids, or all (the archived WAL among them, by its repository's name ``wal``).

    ``progress`` hears the copy's id, and bytes (for media: files) done and known. Raises UsageError for an id that no
    copy has.
    """
    wanted = list(ids)
    subjects = list(_subjects(desk, look(desk), wanted))
    known = {subject.id for subject in subjects}
    for id in wanted:
        if id not in known:
            raise UsageError(f"there is no copy {id!r}", remedy="list them with: reprise catalog")
    if not wanted:  # all is not well where nobody can see what there is
        subjects += _away(desk.site)
    return [_prove(desk, each, progress) for each in subjects if not wanted or each.id in wanted]


def proofs(desk: Desk, catalog: Catalog) -> list[Proof]:
    """The last result of every copy there is that was verified or restored by a proof drill."""
    return one_for_each(of_copies(known_proofs(desk), catalog))


def _prove(desk: Desk, subject: _Subject, progress: Progress) -> Proof:
    started, ok, ours = time.monotonic(), None, True
    try:
        findings = subject.work(lambda done, total: progress(subject.id, done, total))
        ok = not findings
    except _Unprovable as why:
        findings, ours = [str(why)], not isinstance(why, _NotOurs | _Away)
    except (DamagedCopy, Unreachable) as error:
        ok = False
        findings = [f"{error.message}: {error.cause}" if error.cause else error.message]
    except RepriseError as error:  # a program is missing, say: nothing is known of the copy
        findings = [f"could not be verified: {error.message}"]
    except OSError as error:
        ok = False
        findings = [f"{error.filename}: {error.strerror}" if error.filename else str(error)]
    proof = Proof(
        subject.id,
        subject.kind,  # type: ignore[arg-type]
        subject.repository,
        datetime.now(UTC),
        ok,
        tuple(findings),
        round(time.monotonic() - started, 3),
    )
    if ours and not desk.read_only:
        keep_proof(desk.state, proof)
    return proof


def _subjects(desk: Desk, view: View, wanted: list[str]) -> Iterable[_Subject]:
    parents = {backup.parent for backup in view.catalog.base_backups}
    for backup in view.catalog.base_backups:
        # a chain is tried at its end, for all its members; one in the midst of it where it is named
        whole = backup.incremental and (backup.id in wanted or backup.id not in parents)
        yield _Subject(backup.id, "base", backup.repository, partial(_base, desk, backup, view, whole))
    for dump in view.catalog.dumps:
        yield _Subject(dump.id, "dump", dump.repository, partial(_dump, desk, dump))
    kinds = {each.path: each.kind for each in desk.site.media.repository} if desk.site.media else {}
    for snapshot in view.catalog.media_snapshots:
        kind = kinds.get(snapshot.repository, "directory")
        yield _Subject(snapshot.id, "media", snapshot.repository, partial(_media, snapshot, kind))
    for source in view.catalog.sources:
        yield _Subject(source.id, "source", str(source.path.parent), partial(_source, desk, source))
    for image in view.catalog.images:
        yield _Subject(image.id, "image", str(image.path.parent), partial(_image, image))
    for number, repository in enumerate(desk.site.database.repository):
        id = "wal" if number == 0 else f"wal-{number + 1}"
        yield _Subject(id, "wal", repository.wal, partial(_wal, desk, repository))


def _away(site: Site) -> Iterator[_Subject]:
    """The folders of copies that are not there now, each as if it were a copy."""

    def fail(why: str, tell: object) -> list[str]:
        raise _Away(why)

    for kind, place in _places(site):
        why = not_mounted(place)
        if why is None and not within(PATIENCE, Path(place).is_dir, False):
            why = f"{place} is not there, or does not answer"
        if why is not None:
            yield _Subject(place, kind, place, partial(fail, why))


def _places(site: Site) -> Iterator[tuple[CopyKind, str]]:
    for repository in site.database.repository:
        yield "base", repository.base_backups
        if repository.dumps is not None:
            yield "dump", repository.dumps
    for media in site.media.repository if site.media else ():
        if media.kind in ("directory", "rsync"):
            yield "media", media.path
    for source in site.source:
        yield "source", str(Path(source.mirror).parent) if source.mirror else source.bundles or ""
    if site.environment is not None:
        yield "image", site.environment.store


def _base(
    desk: Desk, backup: BaseBackup, view: View, whole: bool, tell: Callable[[int, int | None], None]
) -> list[str]:
    """Its own bytes, and whether what it builds on is there; ``whole``: and can be combined with it."""
    chain: tuple[BaseBackup, ...] = ()
    findings = [backup.reason or "not usable"] if not backup.usable else []
    if backup.incremental:
        try:
            chain = tuple(view.reach.chain(backup))
        except ValueError as error:
            findings.append(str(error))
    if not findings and not verify_backup(backup.path, backup.format, tell):
        raise _Unprovable("it has no checksums to be verified by: taken without a manifest")
    if not findings and whole and chain:
        findings += _chain(desk, chain)
    return findings


def _chain(desk: Desk, chain: tuple[BaseBackup, ...]) -> list[str]:
    """Tried by pg_combinebackup where this machine has that of the backup's version."""
    version = chain[-1].version
    if version is None or version < COMBINES_FROM:
        return []
    try:
        programs = choose_programs(version, desk.site.database.bin_dir)
    except RepriseError:
        return []
    with _scratch(desk) as place:
        return try_chain(chain, programs, Path(place))


def _dump(desk: Desk, dump: Dump, tell: Callable[[int, int | None], None]) -> list[str]:
    """Read to its end; its roles too, where Reprise took it."""
    if not dump.usable:
        return [dump.reason or "not usable"]
    own = (dump.path / NOTE).is_file()
    if own:
        read_globals_through(dump.path / GLOBALS)
    contents = dump.path / CONTENTS[dump.format] if own else dump.path
    read_through(choose_programs(None, desk.site.database.bin_dir), contents, dump.format, current_user())
    return []


def _media(snapshot: MediaSnapshot, kind: str, tell: Callable[[int, int | None], None]) -> list[str]:
    if kind in ("restic", "borg"):
        raise _NotOurs(f"{kind} keeps it: what says whether it is whole is {_OWN_CHECK[kind]}")
    if not snapshot.usable:
        return [snapshot.reason or "not usable"]
    if kind == "rsync":
        raise _NotOurs("it has no catalogue to be verified by: another program took it")
    if not snapshot.has_catalogue:
        raise _Unprovable("it has no catalogue to be verified by: another program took it")
    return verify_snapshot(snapshot.path, lambda files, bytes: tell(files, snapshot.files))


def _source(desk: Desk, source: SourceCopy, tell: Callable[[int, int | None], None]) -> list[str]:
    """Every object that a ref leads to; a bundle is cloned for that into the state folder."""
    if source.form == "mirror":
        check_repository(source.path, who_reads(str(source.path)), lambda line: None)
        return []
    with _scratch(desk) as place:
        check_bundle(source.path, Path(place) / "clone.git", current_user(), lambda line: None)
    return []


def _image(image: ImageCopy, tell: Callable[[int, int | None], None]) -> list[str]:
    return verify_image(image, lambda done: tell(done, image.size_bytes))


def _wal(desk: Desk, repository: DatabaseRepository, tell: Callable[[int, int | None], None]) -> list[str]:
    """Every archived segment read anew, record by record, with no help of what the index remembers."""
    contents = contents_of(desk, repository)
    if not contents.archive_answers:
        raise _Unprovable(f"the archive {repository.wal} does not answer: {contents.archive_problem}")
    if (why := not_the_archive(desk.state, repository.wal, contents)) is not None:
        raise _Unprovable(why)
    with _scratch(desk) as place:
        index = WalIndex.open(Path(place) / "wal.sqlite")
        try:
            index.refresh(contents.wal_files, contents.histories, progress=tell)
            findings = [f"{problem.where}: {problem.what}" for problem in index.damaged()]
            findings += [
                f"{path}: it ends before {source.name} does, which was adopted"
                for path, source in shortened(index, Path(place))
            ]
            findings += [f"missing on timeline {gap.timeline}: {name_missing([gap])}" for gap in index.gaps()]
        finally:
            index.close()
    return findings


def _scratch(desk: Desk) -> "tempfile.TemporaryDirectory[str]":
    """A folder for what verifying needs, gone behind it. Raises RepriseError."""
    try:
        return tempfile.TemporaryDirectory(prefix="verify-", dir=desk.state)
    except OSError as error:
        raise RepriseError(f"nothing can be written into {desk.state}", cause=error.strerror) from None
