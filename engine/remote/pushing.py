"""Copies sent to another server by rsync, and held against their originals there by checksum.

A copy travels under a name with a dot and is renamed when it is whole, so that a reader of that repository never sees
half of it. What is there already is never changed: a copy with the same name must have the same content.
"""

import os
import re
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.postgres.running import run_program
from engine.records.errors import DamagedCopy, RepriseError, Unreachable
from engine.remote.places import RemotePlace
from engine.transfer.naming import shown

_PROGRESS = re.compile(r"\s*([\d,]+)\s+\d+%")
_VANISHED = 24  # rsync(1), "EXIT VALUES": files that went away while it worked
_DIFFERS = re.compile(r"(?:[<>ch][fdLDS]\S*|\*deleting) ")  # --itemize-changes, but for mere attributes

Progress = Callable[[int], None]


def push(copy: Path, into: RemotePlace, beside: Sequence[Path], parent: str | None, progress: Progress) -> None:
    """Send a copy, and what stands beside it first. ``parent`` is a copy there that unchanged files are shared with.

    Raises DamagedCopy where another one of that name is there, Unreachable, RepriseError.
    """
    into.run("mkdir", "-p", into.path)
    for path in beside:
        _send(path, into, path.name, None, progress)
    if _is_there(into, copy.name):
        return compare(copy, into.below(copy.name))
    draft = f".draft-{copy.name}"
    _send(copy, into, draft, parent, progress)
    compare(copy, into.below(draft))
    into.run("mv", "-T", "--", f"{into.path}/{draft}", f"{into.path}/{copy.name}")
    into.run("sync", timeout=600)


def push_mirror(mirror: Path, into: RemotePlace, progress: Progress) -> None:
    """Bring a git mirror there up to date: what is new is sent, objects before the refs that lead to them (rsync sends
    by name); what is there and not here stays."""
    into.run("mkdir", "-p", into.path)
    _send(mirror, into, mirror.name, None, progress)
    compare(mirror, into.below(mirror.name), alone=False)


def push_wal(folder: Path, into: RemotePlace, progress: Progress) -> None:
    """Send every archived file that is not there yet. What is there is never replaced."""
    into.run("mkdir", "-p", into.path)
    words = ["--archive", "--ignore-existing", "--exclude=.*", "--exclude=*.partial", "--delay-updates"]
    _rsync([*words, "--info=progress2"], f"{os.fspath(folder)}/", f"{_remote(into)}/", into, progress)


def compare(original: Path, there: RemotePlace, *, alone: bool = True) -> None:
    """Hold what is there against the original: contents by checksum, which that server computes; ``alone``: nothing
    else may be there. Raises DamagedCopy."""
    words = ["--recursive", "--links", "--checksum", "--dry-run", "--out-format=%i %n"]
    words += ["--delete"] if alone else []
    told: list[str] = []
    slash = "/" if original.is_dir() else ""
    _rsync(words, f"{os.fspath(original)}{slash}", f"{_remote(there)}{slash}", there, lambda done: None, told.append)
    if wrong := [line for line in told if _DIFFERS.match(line)]:
        raise DamagedCopy(
            f"{there} is not what {shown(original)} is",
            cause=f"{len(wrong)} files differ, {wrong[0].split(' ', 1)[1].strip()} for one",
            remedy="see which of the two is right: reprise verify",
        )


def fetch(there: RemotePlace, into: Path, progress: Progress) -> None:
    """Bring everything below a place back into a folder, and hold it against what is there by checksum. Goes on where
    it was interrupted. Raises Unreachable, RepriseError, DamagedCopy."""
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    words = ["--archive", "--hard-links", "--partial", "--info=progress2", "--exclude=.draft-*"]
    _rsync(words, f"{_remote(there)}/", f"{os.fspath(into)}/", there, progress)
    told: list[str] = []
    words = ["--recursive", "--links", "--checksum", "--dry-run", "--exclude=.draft-*", "--out-format=%i %n"]
    _rsync(words, f"{_remote(there)}/", f"{os.fspath(into)}/", there, lambda done: None, told.append)
    if wrong := [line for line in told if _DIFFERS.match(line)]:
        raise DamagedCopy(
            f"what came from {there} is not what is there", cause=f"{len(wrong)} files differ", remedy="fetch again"
        )


def _send(path: Path, into: RemotePlace, name: str, parent: str | None, progress: Progress) -> None:
    slash = "/" if path.is_dir() else ""
    words = ["--archive", "--partial", "--info=progress2"]
    if parent is not None and slash and _is_there(into, parent):
        words.append(f"--link-dest={into.path}/{parent}")
    _rsync(words, f"{os.fspath(path)}{slash}", f"{_remote(into)}/{name}{slash}", into, progress)


def _is_there(place: RemotePlace, name: str) -> bool:
    return place.run("sh", "-c", 'test -e "$1" && echo yes || echo no', "sh", f"{place.path}/{name}").strip() == "yes"


def _remote(place: RemotePlace) -> str:
    return f"{place.login}:{place.path}"


def _rsync(
    words: Sequence[str], source: str, target: str, place: RemotePlace, progress: Progress,
    hear: Callable[[str], None] = lambda line: None,
) -> None:  # fmt: skip
    program = shutil.which("rsync")
    if program is None:
        raise RepriseError("rsync is not on this machine", remedy="install the package rsync, here and there")

    def on_line(line: str) -> None:
        for piece in line.split("\r"):
            if found := _PROGRESS.match(piece):
                progress(int(found[1].replace(",", "")))
            elif piece.strip():
                hear(piece)

    command = [program, *words, f"--rsh={shlex.join(place.shell)}", "--protect-args", "--", source, target]
    try:
        run_program(command, timeout=None, on_line=on_line)
    except RepriseError as error:
        if f"exit code {_VANISHED}" in error.message:
            return
        kind = Unreachable if re.search(r"exit code (10|12|30|35|255)\b", error.message) else RepriseError
        raise kind(
            f"rsync between here and {place} failed",
            cause=error.cause,
            remedy=f"try: {shlex.join([*place.shell, place.login, 'true'])}",
        ) from None
