"""What all plans of copies have in common: the copy's name, its draft, the checks of its place, the plan itself."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import PurePosixPath

from humanize import naturalsize
from msgspec import Struct

from engine.records.copying import Copying, CopyKind
from engine.records.plan import Check, Destination, Plan, PlannedStep
from engine.records.survey import FileSystem, LockHolder, OsUser, Programs
from engine.recovery.estimates import Measured, estimate

_RESERVE = 1.05  # of what is expected, so that a growing cluster still fits


class Place(Struct, frozen=True):
    """A repository as it stands now. ``file_system`` None: it could not be asked; ``source_device`` is where what is
    copied lies (None: not on this machine, or unknown)."""

    folder: str
    file_system: FileSystem | None
    exists: bool
    writable: bool  # by the owner of the copies
    held_by: LockHolder | None = None
    source_device: int | None = None
    others: str | None = None  # who else may rename what lies in it ("everybody", "the group staff"); as root only


def copying_at(
    kind: CopyKind,
    place: Place,
    name: str,
    owner: OsUser,
    *,
    id: str | None = None,
    programs: Programs | None = None,
    parent: str | None = None,
    second: str | None = None,
) -> Copying:
    """A copy called ``name`` in its repository; its ``id`` is that, unless it is called otherwise (a file's suffix)."""
    folder = PurePosixPath(place.folder)
    draft = str(folder / f".draft-{name}")
    return Copying(
        kind, id or name, str(folder), str(folder / name), draft, owner, programs=programs, parent=parent, second=second
    )


VERIFY = PlannedStep("verify-copy", "verify-copy", "read it back and verify it", None, {})


def make_plan(
    site: str,
    created_at: datetime,
    copying: Copying,
    steps: Sequence[PlannedStep],
    checks: Iterable[Check],
    *,
    bytes: int | None,
    wal: str | None = None,
    measured: Iterable[Measured] = (),
) -> Plan:
    """The plan of one copy: its own steps, then the copy gets its name, is pushed on (with the archive ``wal``, without
    which a base backup is worth nothing), and the report is written."""
    ending = [PlannedStep("publish", "publish", f"put it on disk as {copying.path}", None, {})]
    if copying.second is not None:
        second = copying.second.rstrip("/")
        args = {"into": second_folder(second, copying.kind), "wal": wal, "wal_into": f"{second}/wal"}
        ending.append(PlannedStep("push", "push", f"push it to {args['into']}", None, args))
    ending.append(PlannedStep("report", "report", "write the report", None, {}))
    planned = (*steps, *ending)
    return Plan(
        site=site,
        created_at=created_at,
        target=None,
        destination=Destination("repository", copying.repository),
        layout=None,
        point=None,
        steps=planned,
        checks=tuple(checks),
        bytes_to_copy=bytes,
        estimate=estimate(planned, measured),
        copying=copying,
    )


def second_folder(second: str, kind: CopyKind) -> str:
    """Where at a second place a copy goes: a database's repository has a folder for each kind there."""
    return second.rstrip("/") + {"base": "/base", "dump": "/dumps"}.get(kind, "")


def place_checks(place: Place, owner: OsUser, bytes: int | None) -> Iterable[Check]:
    """Whether the repository can take a copy of so many bytes: repository, repository-safe, another-run, disk-space,
    same-device."""
    yield _repository(place, owner)
    if place.others is not None:
        yield _open_to_others(place)
    yield _another_run(place)
    yield _disk_space(place, bytes)
    if (warned := same_device(place)) is not None:
        yield warned


def _repository(place: Place, owner: OsUser) -> Check:
    if place.file_system is None:
        return _check("repository", None, f"{place.folder} does not answer", "see whether it is mounted and readable")
    if not place.exists:
        remedy = f"make it, and give it to {owner.name}: install -d -m 0700 -o {owner.name} {place.folder}"
        return _check("repository", False, f"{place.folder} does not exist", remedy)
    if not place.writable:
        remedy = f"give it to {owner.name}, or set run_as to its owner"
        return _check("repository", False, f"{owner.name} cannot write into {place.folder}", remedy)
    return _check("repository", True, f"{place.folder} can be written by {owner.name}")


def _open_to_others(place: Place) -> Check:
    """Root would write where another user can put a link, or another folder, under a name that is used next."""
    return _check(
        "repository-safe",
        False,
        f"root would write copies into {place.folder}, in which {place.others} may make and replace names",
        f"let its owner alone write there, and above it: chmod go-w {place.folder}",
    )


def _another_run(place: Place) -> Check:
    holder = place.held_by
    if holder is None:
        return _check("another-run", True, f"nobody else works on {place.folder}")
    since = f"{holder.since:%Y-%m-%d %H:%M:%SZ}"
    finding = f"{holder.run} works on {place.folder}, process {holder.pid} of {holder.user}, since {since}"
    return _check("another-run", False, finding, f"wait for it, or stop it: reprise cancel {holder.run}")


def _disk_space(place: Place, bytes: int | None) -> Check:
    room = place.file_system
    if room is None:
        return _check("disk-space", None, f"{place.folder} does not answer", "see whether it is mounted and readable")
    free = naturalsize(room.free_bytes, binary=True)
    if bytes is None:
        return Check("disk-space", "info", None, f"how much is copied is not known; {free} are free")
    wanted = naturalsize(int(bytes * _RESERVE), binary=True)
    if bytes * _RESERVE > room.free_bytes:
        remedy = "make room there (reprise expire shows what may go), or name another repository"
        return _check("disk-space", False, f"up to {wanted} are needed in {place.folder}, {free} are free", remedy)
    return _check("disk-space", True, f"up to {wanted} are needed, {free} are free")


def same_device(place: Place) -> Check | None:
    """A copy beside its original dies with it. None where the two lie apart."""
    if place.file_system is None or place.source_device != place.file_system.device:
        return None
    return Check(
        "same-device",
        "warn",
        False,
        f"{place.folder} lies on the same device as what it protects",
        'name a second place on another server: second = "ssh://user@host/path"',
    )


def _check(name: str, ok: bool | None, finding: str, remedy: str | None = None) -> Check:
    return Check(name, "refuse", ok, finding, remedy)
