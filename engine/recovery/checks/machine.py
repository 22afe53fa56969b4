"""Checks of the machine: room, memory, rights, who else is at work."""

import shlex
from pathlib import PurePosixPath

from engine.records.plan import Check
from engine.records.survey import FileSystem, LockHolder
from engine.recovery.checks.question import Question, inform, refuse, size_words, warn
from engine.recovery.settings import buffer_bytes
from engine.recovery.sizes import Need, space_needs

MIB = 1 << 20


def disk_space(question: Question) -> Check | None:
    point, layout = question.point, question.layout
    if point is None or layout is None:
        return None
    needs = space_needs(point, layout, question.survey)
    if needs is None:
        finding = "how much the backup unpacks to is unknown (a tar without a manifest)"
        return warn("disk-space", None, finding, "make sure that there is room, or take backups with a manifest")
    by_device: dict[int, tuple[FileSystem, list[Need]]] = {}
    for need in needs:
        file_system = question.file_system(need.path)
        if file_system is None:
            finding = f"the file system of {need.path} could not be asked"
            return refuse("disk-space", None, finding, "see that it is mounted and answers, then plan again")
        by_device.setdefault(file_system.device, (file_system, []))[1].append(need)
    told = []
    for file_system, here in by_device.values():
        wanted = sum(need.bytes for need in here)
        reserve = max(64 * MIB, wanted // 20)
        words = f"{size_words(file_system.free_bytes)} free on {file_system.mount_point}, {size_words(wanted)} needed"
        if file_system.free_bytes < wanted + reserve:
            parts = ", ".join(f"{size_words(need.bytes)} {need.what}" for need in here)
            short = size_words(wanted + reserve - file_system.free_bytes)
            remedy = f"free {short} there, or choose a destination on another file system with --into"
            return refuse("disk-space", False, f"{words} and {size_words(reserve)} in reserve ({parts})", remedy)
        told.append(words)
    return refuse("disk-space", True, "; ".join(told))


def mount_point(question: Question) -> Check | None:
    layout = question.layout
    if layout is None or not question.in_place:
        return None
    if question.survey.unmounted is not None:
        finding = f"{question.survey.unmounted}: the cluster would be put below it"
        remedy = "mount it, then plan again; or, if it is gone for good, take it out there"
        return refuse("mount-point", False, finding, remedy)
    file_system = question.file_system(layout.container)
    if file_system is None:
        finding = f"the file system of {layout.container} could not be asked"
        return refuse("mount-point", None, finding, "see that it is mounted and answers, then plan again")
    if not file_system.writable:
        finding = f"{file_system.nearest} cannot be written to, so that the data directory cannot be renamed"
        return refuse("mount-point", False, finding, f"give {layout.run_as.name} (or root) the right to write there")
    if layout.within_mount:
        why = "is a mount point" if question.survey.cluster.is_mount_point else "lies where nothing can be renamed"
        return refuse("mount-point", True, f"{layout.production} {why}: its contents are moved aside within it")
    return refuse("mount-point", True, f"{layout.production} is renamed beside itself")


def destination(question: Question) -> Check | None:
    """CONTRACT.md: the folder of a side copy is absent or empty; and no copy is built among what it is made from."""
    facts = question.survey.destination
    if question.in_place:
        return None
    remedy = "name another folder with --into"
    if facts.state in ("occupied", "not a folder"):
        words = facts.contents or ("something else" if facts.state == "occupied" else "not a folder")
        name = "half-restored" if facts.contents and "half" in facts.contents else "destination"
        return refuse(name, False, f"{facts.path} is not empty: {words}", remedy)
    if facts.inside is not None:
        return refuse("destination", False, f"{facts.path} lies in the site's own {facts.inside}", remedy)
    if not facts.parent_writable:
        return refuse("ownership", False, f"{facts.path} cannot be made: no right to write there", remedy)
    return refuse("destination", True, f"{facts.path} is {facts.state}")


def port(question: Question) -> Check | None:
    facts = question.survey.destination
    if question.in_place or facts.port is None:
        return None
    if facts.port_user is not None:
        finding = f"{facts.port} is in use by {facts.port_user}"
        return refuse("port", False, finding, "name another with --port, or leave it out: a free one is found")
    return refuse("port", True, f"{facts.port} is free")


def ownership(question: Question) -> Check | None:
    survey = question.survey
    cluster, user = survey.cluster, survey.run_as
    if user.uid == 0:
        finding = "PostgreSQL refuses to run as root"
        return refuse("ownership", False, finding, "name an ordinary user as run_as in the site file's [database]")
    if question.in_place and cluster.exists and cluster.owner is not None and cluster.owner.uid != user.uid:
        finding = f"{cluster.data_dir} belongs to {cluster.owner.name}, the recovered one would belong to {user.name}"
        return refuse(
            "ownership", False, finding, f'set run_as = "{cluster.owner.name}" in the site file\'s [database]'
        )
    if question.in_place and cluster.exists and cluster.owner is None:
        return refuse(
            "ownership", None, f"the owner of {cluster.data_dir} cannot be read", "run as root, or as its owner"
        )
    if (closed := survey.destination.closed) is not None:
        finding = f"PostgreSQL runs as {user.name}, who may not enter {closed}"
        way = (
            "" if question.in_place else "name a folder with --into that he can reach, for example below /var/tmp; or "
        )
        return refuse("ownership", False, finding, f"{way}let him in: chmod o+x {shlex.quote(closed)}")
    selinux = "; SELinux is on, contexts are restored after the switch-over" if survey.selinux else ""
    return refuse("ownership", True, f"everything will belong to {user.name}, mode 0700{selinux}")


def another_run(question: Question) -> Check | None:
    holder = question.survey.site_lock if question.in_place else question.survey.destination.held_by
    if holder is not None:
        what = "this site" if question.in_place else question.survey.destination.path
        return refuse("another-run", False, f"{what} is held by {_holder(holder)}", f"reprise attach {holder.run}")
    return refuse("another-run", True, "no other run is at work here")


def _holder(holder: LockHolder) -> str:
    return f"run {holder.run}, pid {holder.pid}, {holder.user}, since {holder.since:%Y-%m-%dT%H:%M:%SZ}"


def memory(question: Question) -> Check | None:
    """The copy's shared_buffers are 128 MB (`engine/steps/settings.py`); processes come on top. In place the server is
    started with production's own in the end; a production that runs gives them back before."""
    if question.layout is None:
        return None
    available, cluster = question.survey.memory_available, question.survey.cluster
    if available is None:
        return warn("memory", None, "how much memory is available is unknown")
    named = cluster.settings.get("shared_buffers") if question.in_place else None
    origin = named or question.survey.backup_settings.get("shared_buffers")
    wanted = buffer_bytes(origin) if origin else None
    free = f"{size_words(available)} available"
    if question.in_place and not cluster.running and wanted is not None and wanted > available:
        finding = f"{free}, and production's shared_buffers are {size_words(wanted)}: it may not start with them"
        return warn("memory", False, finding, "free some memory, or lower shared_buffers in its settings")
    shrunk = f"; the origin's shared_buffers are {size_words(wanted)}" if wanted is not None else ""
    told = f"{free}, the copy takes 128 MiB shared_buffers and its processes{shrunk}"
    if available < 256 * MIB:
        return warn("memory", False, told, "free some memory before the replay")
    return warn("memory", True, told)


def logind(question: Question) -> Check | None:
    """Who is not root has a scope of his own only below his service manager, which ends with his last session unless
    he lingers (`engine/run/starting.py`)."""
    survey, name = question.survey, question.survey.run_as.name
    told, remedies = [], []
    if survey.kill_user_processes and (survey.as_root or survey.lingers):
        told.append("logind ends processes at logout (KillUserProcesses): the run gets a scope of its own")
    elif survey.kill_user_processes:
        told.append("logind ends this run at logout (KillUserProcesses)")
        remedies.append(f"stay logged in, or: loginctl enable-linger {name}")
    if survey.remove_ipc and survey.run_as.uid >= 1000:
        told.append(f"logind removes the shared memory of {name} at logout (RemoveIPC)")
        remedies.append("set RemoveIPC=no in logind.conf, or run_as a system user")
    return Check("logind", "warn", not remedies, "; ".join(told), "; ".join(remedies) or None) if told else None


def half_restored(question: Question) -> Check | None:
    if question.layout is None or (not question.in_place and question.survey.destination.state == "occupied"):
        return None
    name = PurePosixPath(question.layout.data_dir).name
    finding = f"pg_control comes last: until the copy is whole, {name} cannot be started"
    return inform("half-restored", finding)
