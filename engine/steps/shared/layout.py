"""Where the plan's layout has a cluster, how it stands there (pg_control), and files put into its folder."""

import os
import time
from pathlib import Path

from engine.formats.control_file import ControlFile, read_control_file
from engine.records.errors import DamagedCopy, RunFailed
from engine.records.plan import Layout, Plan
from engine.transfer.durable import sync_folder

STANDBY_SIGNAL, RECOVERY_SIGNAL = "standby.signal", "recovery.signal"


def layout_of(plan: Plan) -> Layout:
    if plan.layout is None:
        raise RunFailed("the plan has no layout", remedy="plan again")
    return plan.layout


def spool_of(layout: Layout) -> Path:
    return Path(layout.work) / "spool"


def control_of(data_dir: Path) -> ControlFile:
    """The cluster's pg_control. Raises RunFailed, DamagedCopy. A server writes it in place: read in the middle of that
    its checksum is wrong for a moment (as pg_controldata's reading is, controldata_utils.c)."""
    for attempt in range(10):
        try:
            return read_control_file((data_dir / "global" / "pg_control").read_bytes())
        except OSError as error:
            raise RunFailed(f"{data_dir}: pg_control cannot be read", cause=error.strerror) from error
        except DamagedCopy:
            if attempt == 9:
                raise
            time.sleep(0.02)
    raise AssertionError("unreachable")


def put_standby_signal(layout: Layout, data_dir: Path) -> None:
    """Exactly the one signal file that is meant. Without any, the server opens read-write on the old timeline."""
    (data_dir / RECOVERY_SIGNAL).unlink(missing_ok=True)
    write_file(layout, data_dir / STANDBY_SIGNAL, "")


def write_file(layout: Layout, path: Path, text: str) -> None:
    """Put a file of run_as's in place by a rename, synced. Raises RunFailed."""
    draft = path.with_name(f"{path.name}.reprise-new")
    try:
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            if os.geteuid() == 0:
                os.fchown(handle, layout.run_as.uid, layout.run_as.gid)
            os.fsync(handle)
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise RunFailed(
            f"{path} cannot be written",
            cause=error.strerror,
            remedy="make room or mend the folder, then resume the run",
        ) from error
