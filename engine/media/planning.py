"""The plan that brings users' files back."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Literal

from humanize import naturalsize
from msgspec import Struct

from engine.media.selecting import Selected
from engine.media.younger import Younger
from engine.records.copies import MediaSnapshot
from engine.records.files import Files
from engine.records.plan import Check, Destination, Plan, PlannedStep
from engine.records.survey import FileSystem, LockHolder
from engine.records.target import RecoveryTarget
from engine.recovery.estimates import Measured, estimate

Place = Literal["beside", "delta", "into"]
_ELSEWHERE = "bring the files elsewhere, with: files restore --into DIR (and the database alone: --no-files)"


class FilesAsked(Struct, frozen=True):
    """What was asked for, and how the machine stands. ``live_exists`` and ``into_free`` None: the folder does not
    answer. ``mounted``: the live folder is a mount point; ``mounted_in_it`` are others inside it; on ``unmounted`` it
    should lie, and nothing is mounted there. ``unasked``: the live database should say what is wanted, and does not
    answer. ``room`` is where it would be built. ``selected`` None:
    nobody counted how much it is; ``younger``: nobody asked, or the folder does not answer."""

    site: str
    live: str
    place: Place
    into: str | None
    asked: Literal["live"] | None
    fast: bool
    only: str | None
    live_exists: bool | None
    mounted: bool
    into_free: bool | None
    room: FileSystem | None
    writable: bool
    has_application: bool
    held_by: LockHolder | None = None
    mounted_in_it: tuple[str, ...] = ()
    unmounted: str | None = None
    unasked: bool = False
    reserve: tuple[MediaSnapshot, ...] = ()
    earlier: tuple[str, ...] = ()
    selected: Selected | None = None
    younger: Younger | None = None


def plan_files(
    asked: FilesAsked,
    target: RecoveryTarget | None,
    moment: datetime | None,
    snapshots: tuple[MediaSnapshot, ...],
    *,
    now: datetime,
    why_not: str = "",
    measured: Iterable[Measured] = (),
) -> Plan:
    """``moment`` None: as the newest snapshot has them. ``why_not``: why the target could not be resolved."""
    files, most = _layout(asked, moment, snapshots, now), _bytes(asked, snapshots)
    steps = tuple(_steps(files, most))
    checks = tuple(_checks(asked, files, most, why_not))
    return Plan(
        site=asked.site,
        created_at=now,
        target=target,
        destination=Destination("files", files.folder),
        layout=None,
        point=None,
        steps=steps,
        checks=checks,
        bytes_to_copy=files.bytes,
        estimate=estimate(steps, measured),
        files=files,
    )


def _layout(asked: FilesAsked, moment: datetime | None, snapshots: tuple[MediaSnapshot, ...], now: datetime) -> Files:
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    live = os.path.normpath(asked.live)
    above, name = os.path.split(live)
    folder, building, aside = live, f"{above}/.{name}.reprise-{stamp}", f"{live}.before-{stamp}"
    if asked.place == "into":
        folder = building = os.path.normpath(asked.into or "")
    elif asked.mounted:  # nothing beside it lies on its file system
        building, aside = f"{live}/.reprise-{stamp}", f"{live}/.before-{stamp}"
    return Files(
        moment=moment,
        snapshots=snapshots,
        place=asked.place,
        live=live,
        folder=folder,
        building=building,
        set_aside=None if asked.place == "into" else aside,
        asked=asked.asked,
        fast=asked.fast,
        only=asked.only,
        files=_most(asked, [each.files for each in snapshots], lambda selected: selected.files),
        bytes=_bytes(asked, snapshots),
        reserve=asked.reserve,
        earlier=asked.earlier,
    )


def _bytes(asked: FilesAsked, snapshots: tuple[MediaSnapshot, ...]) -> int | None:
    """That are copied at the most."""
    return _most(asked, [each.size_bytes for each in snapshots], lambda selected: selected.bytes)


def _most(asked: FilesAsked, told: Sequence[int | None], of: Callable[[Selected], int]) -> int | None:
    """An upper bound: what they hold together where that was counted, else the sum; None where nobody knows."""
    if asked.selected is not None:
        return of(asked.selected)
    known = [each for each in told if each is not None]
    return sum(known) if asked.only is None and len(known) == len(told) else None


def _steps(files: Files, bytes: int | None) -> Iterator[PlannedStep]:
    def step(kind: str, title: str, bytes: int | None = None) -> PlannedStep:
        return PlannedStep(kind, kind, title, bytes, {"bytes": bytes})

    names = ", ".join(each.id for each in files.snapshots)
    narrowed = ", narrowed to what the database refers to" if files.asked else ""
    # what is read then: files of the live folder, where they have the size that they should have
    reads = {"bytes": bytes if not files.fast else None}
    yield PlannedStep("choose-files", "choose-files", f"choose from {names}{narrowed}", None, reads)
    yield step("copy-files", f"copy what is missing or wrong into {files.building}", bytes)
    if files.place == "beside":
        yield step("swap-files", f"set {files.live} aside as {files.set_aside}, put the new one there")
    elif files.place == "delta":
        yield step(
            "swap-files",
            f"change what differs in {files.live}, owners and modes too; what is moved out goes to {files.set_aside}",
        )
    yield step("check-files", "check the files")
    yield step("report", "write the report")


def _checks(asked: FilesAsked, files: Files, most: int | None, why_not: str) -> Iterator[Check]:
    def check(name: str, ok: bool | None, finding: str, remedy: str | None = None) -> Check:
        return Check(name, "refuse", ok, finding, remedy)

    yield _snapshots(files, why_not)
    if asked.live_exists is None:
        yield check("media-folder", None, f"{files.live} does not answer", "see whether its mount is away")
    elif not asked.live_exists and files.place == "delta":
        yield check("media-folder", False, f"{files.live} is not there", "leave out --delta: the whole folder is built")
    else:
        yield check("media-folder", True, f"{files.live} is {'there' if asked.live_exists else 'not there'}")
    if asked.mounted and files.place == "beside":
        remedy = "add --delta: what differs is changed in it"
        yield check("mount-point", False, f"{files.live} is a mount point, which cannot be renamed", remedy)
    if asked.mounted_in_it and files.place != "into":
        told = f"{asked.mounted_in_it[0]} is mounted inside the media folder: no file can be renamed across it"
        remedy = f"unmount it meanwhile; or {_ELSEWHERE}"
        yield check("mount-point", False, told, remedy)
    if asked.unmounted is not None and files.place != "into":
        told = f"nothing is mounted at {asked.unmounted}: the files would come to lie below it"
        yield check("mount-point", False, told, f"mount it; or {_ELSEWHERE}")
    if files.place == "into" and asked.into_free is not True:
        told = "does not answer" if asked.into_free is None else "is not empty"
        yield check("destination", False, f"{files.folder} {told}", "name an absent or empty folder")
    yield _disk_space(files, asked.room, most, exact=asked.selected is not None or len(files.snapshots) < 2)
    if not asked.writable:
        place = os.path.dirname(files.building)  # noqa: PTH120
        yield check("destination", False, f"this user cannot write into {place}", "start as root, or as its owner")
    if asked.held_by is not None:
        holder = asked.held_by
        told = f"{holder.run} works on this site, process {holder.pid} of {holder.user}"
        yield check("another-run", False, told, f"wait for it, or stop it: reprise cancel {holder.run}")
    yield from _warnings(asked, files)


def _snapshots(files: Files, why_not: str) -> Check:
    remedy = "choose another moment, or name one with --snapshot; reprise catalog lists them"
    if why_not:
        return Check("media-snapshot", "refuse", False, why_not, remedy)
    if not files.snapshots:
        return Check("media-snapshot", "refuse", False, "no usable media snapshot is there", remedy)
    bad = next((each for each in files.snapshots if not each.usable), None)
    if bad is not None:
        return Check("media-snapshot", "refuse", False, f"{bad.id} cannot be used: {bad.reason}", remedy)
    return Check("media-snapshot", "refuse", True, f"from {', '.join(each.id for each in files.snapshots)}")


def _disk_space(files: Files, room: FileSystem | None, most: int | None, *, exact: bool) -> Check:
    """``exact``: no file is counted twice."""
    if most is None:
        free = f"; {naturalsize(room.free_bytes, binary=True)} are free" if room is not None else ""
        return Check("disk-space", "warn", None, f"how much is copied is not known{free}")
    wanted, told = most, f"up to {naturalsize(most, binary=True)} are copied"
    if room is None:
        return Check("disk-space", "warn", None, f"{told}; how much is free is not known")
    free = f"{naturalsize(room.free_bytes, binary=True)} are free"
    if wanted <= room.free_bytes:
        return Check("disk-space", "refuse", True, f"{told}, {free}")
    if files.place == "into" and exact:
        return Check("disk-space", "refuse", False, f"{told}, {free}", "make room, or name another folder")
    if files.place == "into":
        remedy = "what several snapshots have is counted more than once; make room first, if it is little less"
        return Check("disk-space", "warn", False, f"{told}, {free}", remedy)
    remedy = "what the live folder has right is not copied; where that is little, make room first"
    return Check("disk-space", "warn", False, f"{told}, {free}", remedy)


def _moved_out(files: Files, younger: Younger | None) -> Check:
    if younger is None:
        return Check(
            "moved-out", "info", None, f"how much came after the moment is not known; it goes to {files.set_aside}"
        )
    if not younger.files and younger.whole:
        return Check("moved-out", "info", True, "no file of the live folder is younger than the moment")
    count = f"{'' if younger.whole else 'more than '}{younger.files}, {naturalsize(younger.bytes, binary=True)}"
    told = f"files of the live folder that are younger than the moment: {count}"
    return Check(
        "moved-out", "info", True, f"{told}; those that came after it go to {files.set_aside}, none is deleted"
    )


def _warnings(asked: FilesAsked, files: Files) -> Iterator[Check]:
    if files.fast:
        finding = "--fast trusts size and time: a file whose content changed without them is taken for right"
        yield Check("fast", "warn", False, finding, "leave out --fast: every file is read")
    if asked.unasked:
        finding = "the live database does not answer: all that the snapshot holds is brought back, referred to or not"
        yield Check("files-wanted", "warn", None, finding, "start it first; or afterwards: reprise files check")
    if files.place == "beside":
        finding = (
            "files that are right already are shared with the folder that is set aside; a program that writes into one "
            "in place changes both, where the file system has no reflinks"
        )
        yield Check("shared-files", "info", True, finding)
    if files.place != "into" and files.moment is not None:
        yield _moved_out(files, asked.younger)
    if files.earlier:
        told = f"earlier runs moved files of {files.live} to {', '.join(files.earlier)}"
        if files.asked is not None:
            yield Check("set-aside-files", "info", True, f"{told}: what no snapshot has is sought there too")
        else:
            finding = f"{told}: nothing says which of them belong to this moment, and none is taken from there"
            yield Check(
                "set-aside-files", "warn", None, finding, "[media] references says it, for what is in no snapshot"
            )
    if asked.has_application and files.place != "into":
        finding = "the application goes on while its files change"
        yield Check("application", "warn", None, finding, "stop it first, if it keeps files open or writes into them")
    if files.moment is not None and not any(each.dated and each.started_at >= files.moment for each in files.snapshots):
        finding = "no snapshot starts at or after this moment: files that changed after the last one are not in it"
        yield Check("files-behind", "warn", False, finding, "take a snapshot now, if the live folder still has them")
