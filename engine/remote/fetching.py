"""Everything at a second place brought back, when the first one is gone."""

import os
from pathlib import Path

from engine.records.errors import Refused
from engine.remote.places import RemotePlace
from engine.remote.rsync import ATTRIBUTES, SEND, Progress, hold, run_rsync
from engine.transfer.naming import shown

_LEFT_OUT = ("--exclude=.draft-*", "--exclude=.expired-*")  # what is half sent, and half deleted


def fetch(there: RemotePlace, into: Path, progress: Progress) -> None:
    """Bring everything below a place back into a folder that is absent or empty. It grows in a draft beside that one,
    which the next attempt goes on with, and gets its name when it is what is there, by checksum.

    Raises Refused where something is there already, Unreachable, RepriseError, DamagedCopy.
    """
    if os.path.lexists(into) and (into.is_symlink() or not into.is_dir() or any(into.iterdir())):
        raise Refused(f"{shown(into)} is there already", remedy="name a folder that is absent or empty")
    if into.is_mount():
        raise Refused(f"{shown(into)} is a mount point", remedy=f"name a folder in it: {shown(into / 'copies')}")
    draft = into.with_name(f".draft-{into.name}")
    if draft.is_symlink():
        raise Refused(f"{shown(draft)} is a link", remedy="remove it")
    draft.mkdir(mode=0o700, parents=True, exist_ok=True)
    source, target = f"{there.for_rsync}/", f"{os.fspath(draft)}/"
    run_rsync([*SEND, "--hard-links", *_LEFT_OUT], [source], target, there, progress)
    words = ["--recursive", "--links", "--checksum", *ATTRIBUTES, "--delete", *_LEFT_OUT]
    hold([source], draft, target, there, words)
    try:
        draft.rename(into)
    except OSError as problem:
        raise Refused(
            f"{shown(into)} was made meanwhile", cause=problem.strerror, remedy=f"all of it lies in {shown(draft)}"
        ) from None
