"""`prepare`: the folders of a run, 0700 and owned by run_as: container, staging, work, sockets.

The container carries a marker that names the run; a container that holds anything else is refused. Undo takes away what
was made here and gives an empty folder that was there before its owner and mode back.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.records.coding import from_json, to_json
from engine.records.errors import RunFailed
from engine.records.plan import Layout
from engine.records.survey import OsUser
from engine.steps.protocol import RunningStep
from engine.steps.shared.layout import layout_of
from engine.transfer.durable import fsync_path
from engine.transfer.failures import writing
from engine.transfer.naming import shown
from engine.transfer.removing import make_folder, missing_parents, remove_if_empty, remove_tree

MARKER = ".reprise"
_TRAVERSABLE = 0o755  # parents of a destination: run_as must pass through them


def apply(step: RunningStep) -> None:
    layout = layout_of(step.plan)
    container = Path(layout.container)
    owner = owner_ids(layout.run_as)
    with writing(container):
        _claim(step, container, owner)
    for folder in _inner(layout):
        if not _recorded(step, "made", folder):
            if folder.is_symlink() or folder.exists():
                raise RunFailed(f"{shown(folder)} is in use", remedy="remove it, or choose another destination")
            step.before(made=os.fspath(folder))
        for parent in missing_parents(folder):
            step.before(made_parent=os.fspath(parent))
            _make_parent(parent)
        make_folder(folder, owner)
    step.safe_point()


def undo(step: RunningStep) -> None:
    layout = layout_of(step.plan)
    container = Path(layout.container)
    for record in reversed(step.undo_records):
        if "made" in record:
            remove_tree(Path(record["made"]))
    with writing(container):
        if run_of(container) == step.run_dir.name:
            (container / MARKER).unlink()
    for record in reversed(step.undo_records):
        if "container" in record and container.is_dir():
            with writing(container):
                if any(container.iterdir()):
                    step.log(f"{shown(container)} holds what this run did not make; it stays")
                elif record["existed"]:
                    os.chown(container, record["uid"], record["gid"])
                    container.chmod(record["mode"])
                else:
                    container.rmdir()
                fsync_path(container.parent)
        if "made_parent" in record:
            remove_if_empty(Path(record["made_parent"]))


def owner_ids(user: OsUser) -> tuple[int, int] | None:
    """(uid, gid) to give new files to; None where we are not root and own them anyway."""
    return (user.uid, user.gid) if os.geteuid() == 0 else None


def _inner(layout: Layout) -> list[Path]:
    return [Path(folder) for folder in (layout.staging, layout.work, layout.socket_dir)]


def _claim(step: RunningStep, container: Path, owner: tuple[int, int] | None) -> None:
    """Make the container, or take an empty one, and mark it as this run's."""
    if container.is_symlink() or (container.exists() and not container.is_dir()):
        raise RunFailed(f"{shown(container)} is not a folder", remedy="choose an absent or empty folder")
    if container.exists() and any(container.iterdir()) and not _is_ours(step, container):
        raise RunFailed(f"{shown(container)} is not empty", remedy="choose an absent or empty folder")
    if not _recorded(step, "container", container):
        for parent in missing_parents(container):
            step.before(made_parent=os.fspath(parent))
            _make_parent(parent)
        there = container.stat() if container.exists() else None
        step.before(
            container=os.fspath(container),
            existed=there is not None,
            uid=there.st_uid if there else None,
            gid=there.st_gid if there else None,
            mode=stat.S_IMODE(there.st_mode) if there else None,
        )
    make_folder(container, owner)
    marker = container / MARKER
    marker.write_bytes(to_json({"run": step.run_dir.name}))
    fsync_path(marker)
    fsync_path(container)


def run_of(container: Path) -> str | None:
    """The run whose marker stands in a container."""
    with suppress(OSError, msgspec.DecodeError):
        return str(from_json((container / MARKER).read_bytes(), dict[str, str]).get("run"))
    return None


def _is_ours(step: RunningStep, container: Path) -> bool:
    """Whether the marker is this run's, or was being written when the engine died."""
    torn = _recorded(step, "container", container) and [entry.name for entry in container.iterdir()] == [MARKER]
    return torn or run_of(container) == step.run_dir.name


def _recorded(step: RunningStep, what: str, path: Path) -> bool:
    return any(record.get(what) == os.fspath(path) for record in step.undo_records)


def _make_parent(parent: Path) -> None:
    with writing(parent):
        parent.mkdir(_TRAVERSABLE)
        parent.chmod(_TRAVERSABLE)  # whatever the umask
        fsync_path(parent.parent)
