"""Copies sent to another server by rsync, and held against their originals there by checksum.

A copy travels under a name with a dot and is renamed when it is whole, so that a reader of that repository never sees
half of it. What is there already is never changed: a copy with the same name must have the same content, and so must
the files beside it. A draft is only added to: what is left of another attempt there, and does not belong, is refused.
Before that, what it shares with other copies leaves it: rsync sets modes and owners in place, and theirs are not ours.
"""

import os
import random
import re
import secrets
import shlex
import shutil
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.records.errors import DamagedCopy, Refused, RepriseError, Unreachable
from engine.remote.places import RemotePlace
from engine.system.programs import run_program
from engine.transfer.naming import shown

_PROGRESS = re.compile(r"\s*([\d,]+)\s+\d+%")
_VANISHED = 24  # rsync(1), "EXIT VALUES": files that went away while it worked
# --itemize-changes: contents and kinds; then mode, owner and group where these alone differ
_DIFFERS = re.compile(r"(?:[<>ch][fdLDS]\S*|\*deleting) ")
_ATTRIBUTES_DIFFER = re.compile(r"\.[fdLDS]\S*[pog]\S* ")
_FILE_DIFFERS = re.compile(r"[<>ch]f\S* (.*)", re.DOTALL)
# Owners count where the receiver is root, groups where it may set them: it holds against what it would have set.
_ATTRIBUTES = ("--perms", "--owner", "--group", "--numeric-ids")

_SEND = ("--archive", "--numeric-ids", "--partial", "--info=progress2")
# Under its own name a file is there whole or not at all, and one that is there stays.
_SEND_NEW = ("--archive", "--numeric-ids", "--ignore-existing", "--partial-dir=.draft-partial", "--info=progress2")
# Each command is a connection of its own: one makes the folder ($1) and says which of the other names are in it.
_MAKE_AND_LIST = 'mkdir -p -- "$1" && cd -- "$1" || exit; shift; for name; do test ! -e "./$name" || echo "$name"; done'
# What another attempt left of a copy ($2) is taken over under a name of our own ($3), so that whoever still works on it
# cannot name it; then what it shares with other copies leaves it. In a folder that may not be written nothing could.
_TAKE_OVER = (
    'cd -- "$1" || exit; for old in "./.draft-$2" "./.draft-$2"~*; do '
    'test ! -L "$old" || { echo "$old is a link" >&2; exit 1; }; '
    'test ! -e "$old" || { mv -nT -- "$old" "./$3" && break; }; done; '
    'test ! -d "./$3" || find "./$3" -xdev \\( -type d ! -perm -700 -exec chmod u+rwx {} \\; \\)'
    " -o \\( ! -type d -links +1 -exec rm -f {} + \\)"
)
# The draft ($1) gets its name ($2), on disk; a sync of all file systems where that server's cannot sync one.
# Old versions of mv -n succeed where they did nothing.
_NAME = 'mv -nT -- "$1" "$2" && test ! -e "$1" && { sync -f -- "$2" 2>/dev/null || sync; }'

_SEGMENT = re.compile(r"[0-9A-F]{24}\Z")
_LONG_HEADER = struct.Struct("<HHIQI4xQII")  # XLogLongPageHeaderData (src/include/access/xlog_internal.h)
_IS_LONG = 0x0002  # XLP_LONG_HEADER
_PACKED = (b"\x1f\x8b", b"\x04\x22\x4d\x18", b"\x28\xb5\x2f\xfd")  # gzip, lz4, zstd: their lengths are their own
_SAMPLE = 8  # archived files that were there before and are read again, here and there, with each push
_SMALLEST_SEGMENT = 1 << 20  # bytes (initdb --wal-segsize)

Progress = Callable[[int], None]


def push(copy: Path, into: RemotePlace, beside: Sequence[Path], parent: str | None, progress: Progress) -> None:
    """Send a copy, and what stands beside it first. ``parent`` is a copy there that unchanged files are shared with.

    Raises DamagedCopy where another one of that name is there, Unreachable, RepriseError.
    """
    there = into.run("sh", "-c", _MAKE_AND_LIST, "sh", into.path, copy.name, *([parent] if parent else [])).splitlines()
    if beside:
        names = [os.fspath(path) for path in beside]
        _rsync(_SEND_NEW, names, f"{_remote(into)}/", into, progress)
        _hold(names, beside[0], f"{_remote(into)}/", into, ["--checksum"])
    if copy.name in there:
        return compare(copy, into.below(copy.name))
    name = f".draft-{copy.name}~{secrets.token_hex(4)}"
    into.run("sh", "-c", _TAKE_OVER, "sh", into.path, copy.name, name, timeout=None)
    draft = into.below(name)
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


def push_wal(folder: Path, into: RemotePlace, progress: Progress) -> list[str]:
    """Send every archived file that is not there yet. What is there is never replaced, so a segment that is shorter
    than a segment is not sent: returns the names of those. Then all are held against what is there: by their sizes; by
    checksum what was sent now, what has another time there, and some others, other ones each time.

    Raises DamagedCopy, Unreachable, RepriseError.
    """
    into.run("mkdir", "-p", into.path)
    whole, short = _archived(folder)
    names, listed = _listing(whole), ["--files-from=-", "--from0"]
    source, target = f"{os.fspath(folder)}/", f"{_remote(into)}/"
    told = _differences([source], target, into, ["--times", *listed], names)  # in size or time, or absent
    suspect = {_unescaped(found[1]) for line in told if (found := _FILE_DIFFERS.match(line))}
    _rsync([*_SEND_NEW, *listed], [source], target, into, progress, names=names)
    _hold([source], folder, target, into, ["--size-only", *listed], names)
    others = [name for name in whole if name not in suspect]
    suspect.update(random.sample(others, min(_SAMPLE, len(others))))
    _hold([source], folder, target, into, ["--checksum", *listed], _listing(sorted(suspect)))
    return short


def _listing(names: Sequence[str]) -> bytes:
    return b"".join(os.fsencode(name) + b"\0" for name in names)


def _unescaped(told: str) -> str:
    """A name as rsync prints it (rsync(1), --8-bit-output): every byte that is no printable ASCII as \\#ooo."""
    return os.fsdecode(re.sub(rb"\\#([0-7]{3})", lambda found: bytes([int(found[1], 8)]), told.encode()))


def refuse_short(short: Sequence[str]) -> None:
    """Say that segments were not sent, after all else was. Raises DamagedCopy."""
    if short:
        raise DamagedCopy(
            f"{len(short)} archived WAL files are shorter than a segment and were not sent, {shown(short[0])} for one",
            remedy="push again once they are archived whole; see what is wrong with them: reprise catalog",
        )


def _archived(folder: Path) -> tuple[list[str], list[str]]:
    """The names in an archive that are sent, and those of segments that are too short. Raises RepriseError."""
    whole: list[str] = []
    short: list[str] = []

    def fail(problem: OSError) -> None:
        raise RepriseError(f"{shown(problem.filename)} cannot be listed", cause=problem.strerror)

    for place, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(place, name)
            if not name.startswith(".") and not name.endswith(".partial"):
                kept = short if _SEGMENT.match(name) and _is_short(path) else whole
                kept.append(os.fspath(path.relative_to(folder)))
    return sorted(whole), sorted(short)


def _is_short(segment: Path) -> bool:
    """Whether a file is less than the segment that it begins as; a packed one is not measured."""
    try:
        with segment.open("rb", buffering=0) as file:
            head, size = file.read(_LONG_HEADER.size), os.fstat(file.fileno()).st_size
    except OSError as problem:
        raise RepriseError(f"{shown(segment)} cannot be read", cause=problem.strerror) from None
    if head.startswith(_PACKED):
        return False
    if len(head) < _LONG_HEADER.size:
        return True
    magic, info, *_, segment_size, _ = _LONG_HEADER.unpack(head)
    told = segment_size if magic >> 8 == 0xD1 and info & _IS_LONG else 0
    return size < max(told, _SMALLEST_SEGMENT)


def compare(original: Path, there: RemotePlace, *, alone: bool = True) -> None:
    """Hold what is there against the original: contents by checksum, which that server computes, modes, and owners as
    far as it can set them; ``alone``: nothing else may be there. Raises DamagedCopy, Unreachable, RepriseError."""
    slash = "/" if original.is_dir() else ""
    source, target = f"{os.fspath(original)}{slash}", f"{_remote(there)}{slash}"
    words = ["--recursive", "--links", "--checksum", *_ATTRIBUTES, *(["--delete"] if alone else [])]
    _hold([source], original, target, there, words)


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
    source, target = f"{_remote(there)}/", f"{os.fspath(draft)}/"
    _rsync([*_SEND, "--hard-links", "--exclude=.draft-*"], [source], target, there, progress)
    words = ["--recursive", "--links", "--checksum", *_ATTRIBUTES, "--delete", "--exclude=.draft-*"]
    _hold([source], draft, target, there, words)
    try:
        draft.rename(into)
    except OSError as problem:
        raise Refused(
            f"{shown(into)} was made meanwhile", cause=problem.strerror, remedy=f"all of it lies in {shown(draft)}"
        ) from None


def _hold(
    sources: Sequence[str],
    here: Path,
    target: str,
    there: RemotePlace,
    words: Sequence[str],
    names: bytes | None = None,
) -> None:
    """Raises DamagedCopy where rsync would have to do anything."""
    told = _differences(sources, target, there, words, names)
    wrong, how = [line for line in told if _DIFFERS.match(line)], "differ"
    if not wrong:
        wrong, how = [line for line in told if _ATTRIBUTES_DIFFER.match(line)], "differ in mode or owner"
    if wrong:
        raise DamagedCopy(
            f"{there} is not what {shown(here)} is",
            cause=f"{len(wrong)} files {how}, {wrong[0].split(' ', 1)[1].strip()} for one",
            remedy="see which of the two is right: reprise verify; one whose name begins with .draft- may be removed",
        )


def _differences(
    sources: Sequence[str], target: str, there: RemotePlace, words: Sequence[str], names: bytes | None
) -> list[str]:
    """Let rsync say, without doing it, what it would have to do; a line each, as --itemize-changes has it."""
    told: list[str] = []
    words = [*words, "--dry-run", "--out-format=%i %n"]
    _rsync(words, sources, target, there, lambda done: None, told.append, names=names, vanishing=False)
    return told


def _send(path: Path, there: RemotePlace, words: Sequence[str], progress: Progress) -> None:
    slash = "/" if path.is_dir() else ""
    _rsync([*_SEND, *words], [f"{os.fspath(path)}{slash}"], f"{_remote(there)}{slash}", there, progress)


def _remote(place: RemotePlace) -> str:
    return f"{place.login}:{place.path}"


def _rsync(
    words: Sequence[str], sources: Sequence[str], target: str, place: RemotePlace, progress: Progress,
    hear: Callable[[str], None] = lambda line: None, *, names: bytes | None = None, vanishing: bool = True,
) -> None:  # fmt: skip
    """``names`` is its standard input. ``vanishing``: files may go away while it works."""
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
        run_program(command, timeout=None, input=names, on_line=on_line, outlives=False)
    except RepriseError as error:
        if vanishing and f"exit code {_VANISHED}" in error.message:
            return
        kind = Unreachable if re.search(r"exit code (10|12|30|35|255)\b", error.message) else RepriseError
        raise kind(
            f"rsync between here and {place} failed",
            cause=error.cause,
            remedy=f"try: {shlex.join([*place.shell, place.login, 'true'])}",
        ) from None
