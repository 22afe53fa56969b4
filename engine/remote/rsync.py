"""rsync between here and a second place: what it is told, what it says, and whether two sides are the same."""

import os
import re
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.records.errors import DamagedCopy, RepriseError, Unreachable
from engine.remote.places import RemotePlace
from engine.system.programs import run_program
from engine.transfer.naming import shown

_PROGRESS = re.compile(r"\s*([\d,]+)\s+\d+%")
_VANISHED = 24  # rsync(1), "EXIT VALUES": files that went away while it worked
# --itemize-changes: contents and kinds; then mode, owner and group where these alone differ
_DIFFERS = re.compile(r"(?:[<>ch][fdLDS]\S*|\*deleting) ")
_ATTRIBUTES_DIFFER = re.compile(r"\.[fdLDS]\S*[pog]\S* ")
FILE_DIFFERS = re.compile(r"[<>ch]f\S* (.*)", re.DOTALL)
# Owners count where the receiver is root, groups where it may set them: it holds against what it would have set.
ATTRIBUTES = ("--perms", "--owner", "--group", "--numeric-ids")

PARTIAL = ".draft-partial"  # in the folder of the file that is half sent
SEND = ("--archive", "--numeric-ids", "--partial", "--info=progress2")
# Under its own name a file is there whole or not at all, and one that is there stays.
SEND_NEW = ("--archive", "--numeric-ids", "--ignore-existing", f"--partial-dir={PARTIAL}", "--info=progress2")

Progress = Callable[[int], None]


def compare(original: Path, there: RemotePlace, *, alone: bool = True) -> None:
    """Hold what is there against the original: contents by checksum, which that server computes, modes, and owners as
    far as it can set them; ``alone``: nothing else may be there. Raises DamagedCopy, Unreachable, RepriseError."""
    slash = "/" if original.is_dir() else ""
    source, target = f"{os.fspath(original)}{slash}", f"{there.for_rsync}{slash}"
    words = ["--recursive", "--links", "--checksum", *ATTRIBUTES, *(["--delete"] if alone else [])]
    hold([source], original, target, there, words)


def hold(
    sources: Sequence[str],
    here: Path,
    target: str,
    there: RemotePlace,
    words: Sequence[str],
    names: bytes | None = None,
) -> None:
    """Raises DamagedCopy where rsync would have to do anything."""
    told = differences(sources, target, there, words, names)
    wrong, how = [line for line in told if _DIFFERS.match(line)], "differ"
    if not wrong:
        wrong, how = [line for line in told if _ATTRIBUTES_DIFFER.match(line)], "differ in mode or owner"
    if wrong:
        raise DamagedCopy(
            f"{there} is not what {shown(here)} is",
            cause=f"{len(wrong)} files {how}, {wrong[0].split(' ', 1)[1].strip()} for one",
            remedy="see which of the two is right: reprise verify; one whose name begins with .draft- may be removed",
        )


def differences(
    sources: Sequence[str], target: str, there: RemotePlace, words: Sequence[str], names: bytes | None
) -> list[str]:
    """Let rsync say, without doing it, what it would have to do; a line each, as --itemize-changes has it."""
    told: list[str] = []
    words = [*words, "--dry-run", "--out-format=%i %n"]
    run_rsync(words, sources, target, there, lambda done: None, told.append, names=names, vanishing=False)
    return told


def run_rsync(
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


def unescaped(told: str) -> str:
    """A name as rsync prints it (rsync(1), --8-bit-output): every byte that is no printable ASCII as \\#ooo."""
    return os.fsdecode(re.sub(rb"\\#([0-7]{3})", lambda found: bytes([int(found[1], 8)]), told.encode()))
