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

_SEND = ("--archive", "--partial", "--info=progress2")
# Each command is a connection of its own: one makes the folder ($1) and says which of the other names are in it.
_MAKE_AND_LIST = 'mkdir -p -- "$1" && cd -- "$1" || exit; shift; for name; do test ! -e "./$name" || echo "$name"; done'
# The draft ($1) gets its name ($2), on disk; a sync of all file systems where that server's cannot sync one.
_NAME = 'mv -T -- "$1" "$2" && { sync -f -- "$2" 2>/dev/null || sync; }'

Progress = Callable[[int], None]


def push(copy: Path, into: RemotePlace, beside: Sequence[Path], parent: str | None, progress: Progress) -> None:
    """Send a copy, and what stands beside it first. ``parent`` is a copy there that unchanged files are shared with.

    Raises DamagedCopy where another one of that name is there, Unreachable, RepriseError.
    """
    there = into.run("sh", "-c", _MAKE_AND_LIST, "sh", into.path, copy.name, *([parent] if parent else [])).splitlines()
    if beside:
        _rsync(_SEND, [os.fspath(path) for path in beside], f"{_remote(into)}/", into, progress)
    if copy.name in there:
        return compare(copy, into.below(copy.name))
    draft = into.below(f".draft-{copy.name}")
    shared = [f"--link-dest={into.path}/{parent}"] if parent in there and copy.is_dir() else []
    _send(copy, draft, shared, progress)
    compare(copy, draft)
    into.run("sh", "-c", _NAME, "sh", draft.path, into.below(copy.name).path, timeout=600)


def push_mirror(mirror: Path, into: RemotePlace, progress: Progress) -> None:
    """Bring a git mirror there up to date: what is new is sent, objects before the refs that lead to them (rsync sends
    by name); what is there and not here stays."""
    into.run("mkdir", "-p", into.path)
    _send(mirror, into.below(mirror.name), [], progress)
    compare(mirror, into.below(mirror.name), alone=False)


def push_wal(folder: Path, into: RemotePlace, progress: Progress) -> None:
    """Send every archived file that is not there yet. What is there is never replaced."""
    into.run("mkdir", "-p", into.path)
    words = ["--archive", "--ignore-existing", "--exclude=.*", "--exclude=*.partial", "--delay-updates"]
    _rsync([*words, "--info=progress2"], [f"{os.fspath(folder)}/"], f"{_remote(into)}/", into, progress)


def compare(original: Path, there: RemotePlace, *, alone: bool = True) -> None:
    """Hold what is there against the original: contents by checksum, which that server computes; ``alone``: nothing
    else may be there. Raises DamagedCopy."""
    words = ["--recursive", "--links", "--checksum", "--dry-run", "--out-format=%i %n"]
    words += ["--delete"] if alone else []
    told: list[str] = []
    slash = "/" if original.is_dir() else ""
    source, target = f"{os.fspath(original)}{slash}", f"{_remote(there)}{slash}"
    _rsync(words, [source], target, there, lambda done: None, told.append)
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
    _rsync(words, [f"{_remote(there)}/"], f"{os.fspath(into)}/", there, progress)
    told: list[str] = []
    words = ["--recursive", "--links", "--checksum", "--dry-run", "--exclude=.draft-*", "--out-format=%i %n"]
    _rsync(words, [f"{_remote(there)}/"], f"{os.fspath(into)}/", there, lambda done: None, told.append)
    if wrong := [line for line in told if _DIFFERS.match(line)]:
        raise DamagedCopy(
            f"what came from {there} is not what is there", cause=f"{len(wrong)} files differ", remedy="fetch again"
        )


def _send(path: Path, there: RemotePlace, words: Sequence[str], progress: Progress) -> None:
    slash = "/" if path.is_dir() else ""
    _rsync([*_SEND, *words], [f"{os.fspath(path)}{slash}"], f"{_remote(there)}{slash}", there, progress)


def _remote(place: RemotePlace) -> str:
    return f"{place.login}:{place.path}"


def _rsync(
    words: Sequence[str], sources: Sequence[str], target: str, place: RemotePlace, progress: Progress,
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

    command = [program, *words, f"--rsh={shlex.join(place.shell)}", "--protect-args", "--", *sources, target]
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
