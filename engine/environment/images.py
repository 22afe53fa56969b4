"""Copies of the environment in a folder ``store``: ``<id>.json`` says what each is, with its SHA-256.

A packed one is ``<id>.tar.zst``: GNU tar's stream (owners, modes, extended attributes, holes), so that any rescue
system unpacks it with ``tar --zstd -xf``. A registered one is a VM image that stays where it lies; at a second
place it is ``<id>.image`` beside its note, and so it is in a store that was fetched back from there.
"""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Literal

import msgspec

from engine.records.coding import to_json
from engine.records.copies import ImageCopy, Problem
from engine.records.errors import DamagedCopy, RepriseError, RunFailed
from engine.system.dying import die_with
from engine.transfer.durable import FileSystems, fsync_path
from engine.transfer.failures import unwritable, writing
from engine.transfer.naming import shown
from engine.transfer.noting import write_new
from engine.transfer.opening import open_compressed, zstd
from engine.transfer.removing import remove_tree

PACKED, NOTE, IMAGE = ".tar.zst", ".json", ".image"
_BLOCK = 1 << 20  # bytes
_MAX_NOTE = 64 << 10
_CHANGED_ONLY = 1  # tar's exit code where a file changed while it was read

Progress = Callable[[int], None]


class Note(msgspec.Struct, frozen=True):
    """``<id>.json``. ``file`` is a name in the store, or the registered image's absolute path."""

    form: Literal["packed", "registered"]
    file: str
    origin: str
    size_bytes: int
    sha256: str
    started_at: datetime
    stopped_at: datetime
    left_out: tuple[str, ...] = ()


def pack(origin: Path, into: Path, left_out: Sequence[Path], progress: Progress) -> tuple[str, int, list[str]]:
    """Pack a folder into an absent file, without what lies in ``left_out`` and what is mounted in it. Its SHA-256, its
    size, and what is to be known of it: what was not packed, and whether something changed while it was read.
    ``progress`` hears bytes read of the folder's stream. Raises RunFailed."""
    words = ["tar", "--create", "--file=-", "--sparse", "--xattrs", "--acls", "--one-file-system", "--numeric-owner"]
    words += ["--anchored", "--no-wildcards"]
    words += [f"--exclude=./{path.relative_to(origin)}" for path in left_out if path.is_relative_to(origin)]
    words += [f"--directory={origin}", "."]
    digest, size, read = hashlib.sha256(), 0, 0

    def keep(handle: int, packed: bytes) -> None:
        nonlocal size
        _write(handle, packed)
        digest.update(packed)
        size += len(packed)

    compressor = zstd.ZstdCompressor(level=3)
    with (
        writing(into),
        open(into, "xb", buffering=0, opener=_private) as file,
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=_environment(),
            preexec_fn=partial(die_with, os.getpid()),
        ) as tar,
    ):
        assert tar.stdout is not None
        while block := tar.stdout.read(_BLOCK):
            read += len(block)
            keep(file.fileno(), compressor.compress(block))
            progress(read)
        keep(file.fileno(), compressor.flush())
        code = tar.wait()
        said = _last_lines(errors)
    if code not in (0, _CHANGED_ONLY):
        raise RunFailed(f"{shown(origin)} could not be packed", cause=said or f"exit code {code}")
    findings = _mounted(origin, left_out)
    if code == _CHANGED_ONLY:
        findings.append("a file changed while it was read: taken as it stood")
    return digest.hexdigest(), size, findings


def _private(path: str, flags: int) -> int:
    """A copy holds whatever the system keeps from others: its passwords and keys."""
    return os.open(path, flags, 0o600)


def _last_lines(errors: IO[bytes]) -> str:
    """What tar said last. It says it into a file: a full pipe that nobody empties would stop it for ever."""
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - 4096))
    return "\n".join(errors.read().decode("utf-8", "replace").strip().splitlines()[-5:])


def _mounted(origin: Path, left_out: Sequence[Path]) -> list[str]:
    """The folders with which other file systems begin, subvolumes too: tar leaves them out and says nothing of them."""
    device, known, found = origin.stat().st_dev, set(map(os.fspath, left_out)), list[str]()
    ahead = [os.fspath(origin)]
    while ahead:
        with suppress(OSError), os.scandir(ahead.pop()) as entries:  # what cannot be read, tar says
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False) or entry.path in known:
                    continue
                if entry.stat(follow_symlinks=False).st_dev == device:
                    ahead.append(entry.path)
                else:
                    found.append(entry.path)
    return [f"another file system is mounted at {shown(each)}: not packed" for each in sorted(found)]


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}


def _write(handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


def digest_of(path: Path, progress: Progress) -> tuple[str, int]:
    """A file's SHA-256 and size, read once. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    buffer = memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            size += count
            progress(size)
    return digest.hexdigest(), size


def verify_image(image: ImageCopy, progress: Progress = lambda done: None) -> list[str]:
    """What is wrong with a copy; empty where its content has the checksum that was noted. Raises OSError."""
    found, size = digest_of(image.path, progress)
    if size != image.size_bytes:
        return [f"{shown(image.path)} has {size} bytes, {image.size_bytes} were noted"]
    if found != image.sha256:
        return [f"{shown(image.path)} has the SHA-256 {found}, {image.sha256} was noted"]
    return []


def unpack(image: ImageCopy, into: Path, progress: Progress) -> None:
    """A packed copy into an absent folder, or a registered image as an absent file; what comes out is put under another
    name, in place of what an attempt before has left there, and gets its own only when every byte had the noted
    checksum and is on disk. Nobody else unpacks to there. Raises DamagedCopy, RunFailed, OSError."""
    draft = into.with_name(f".{into.name}.unpacking")
    remove_tree(draft)
    with writing(draft):
        disk = FileSystems([into.parent])
        if image.form == "packed":
            draft.mkdir(mode=0o700)
            found = _untar(image.path, draft, progress)
        else:
            found = _copy(image.path, draft, progress)
    if found != image.sha256:
        kept = into.with_name(f"{into.name}.damaged-{image.id}")  # the next attempt must not take it away
        with suppress(OSError):
            draft.rename(kept)  # of the same copy as before it is the same: then that one stays
        raise DamagedCopy(
            f"{shown(image.path)} is damaged",
            cause=f"its SHA-256 is {found}, {image.sha256} was noted",
            remedy=f"use another copy; what came out of this one lies in {shown(kept if kept.exists() else draft)}",
        )
    with writing(into):
        disk.sync()
        draft.rename(into)
        fsync_path(into.parent)


def _untar(archive: Path, into: Path, progress: Progress) -> str:
    words = ["tar", "--extract", "--file=-", "--xattrs", "--acls", "--sparse", "--numeric-owner", f"--directory={into}"]
    words += ["--same-owner", "--same-permissions"] if os.geteuid() == 0 else []
    digest = hashlib.sha256()
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stderr=errors,
            bufsize=0,
            env=_environment(),
            preexec_fn=partial(die_with, os.getpid()),
        ) as tar,
        open_compressed(archive, digest) as stream,
    ):
        assert tar.stdin is not None
        done = 0
        try:
            while block := stream.read(_BLOCK):
                _write(tar.stdin.fileno(), block)
                done += len(block)
                progress(done)
            tar.stdin.close()
        except BrokenPipeError:  # tar says why it left, where it had not all
            while stream.read(_BLOCK):
                pass
        if tar.wait() != 0:
            raise RunFailed(f"{shown(archive)} could not be unpacked", cause=_last_lines(errors))
    return digest.hexdigest()


def _copy(image: Path, into: Path, progress: Progress) -> str:
    digest = hashlib.sha256()
    with image.open("rb") as source, into.open("xb", buffering=0) as target:
        done = 0
        while block := source.read(_BLOCK):
            digest.update(block)
            _write(target.fileno(), block)
            done += len(block)
            progress(done)
        os.fsync(target.fileno())
    return digest.hexdigest()


def write_note(path: Path, note: Note) -> None:
    """Raises RunFailed."""
    try:
        write_new(path, to_json(note, indent=1))
    except OSError as problem:
        raise unwritable(path, problem) from None


def list_images(store: Path) -> tuple[list[ImageCopy], list[Problem]]:
    """The copies in a store, oldest first. Raises OSError where it cannot be listed."""
    found: list[ImageCopy] = []
    problems: list[Problem] = []
    for path in sorted(store.iterdir()):
        if path.name.startswith(".") or not path.name.endswith(NOTE):
            continue
        try:
            found.append(read_image(path))
        except (OSError, RepriseError, msgspec.DecodeError, ValueError, RecursionError) as error:
            problems.append(Problem(str(path), f"cannot be read: {error}"))
    return sorted(found, key=lambda each: (each.started_at, each.id)), problems


def read_image(path: Path) -> ImageCopy:
    """The copy that a note in its store tells of. Raises OSError, DamagedCopy, msgspec.DecodeError, ValueError."""
    with path.open("rb") as file:
        note = msgspec.json.decode(file.read(_MAX_NOTE), type=Note)
    if note.started_at.tzinfo is None or note.stopped_at.tzinfo is None:
        raise DamagedCopy("its times have no UTC offset")
    if note.form == "packed" and "/" in note.file:
        raise DamagedCopy("it names a file outside the store")
    place = path.with_name(note.file) if note.form == "packed" else Path(note.file)
    if note.form == "registered" and (brought := path.with_name(path.name.removesuffix(NOTE) + IMAGE)).is_file():
        place = brought
    reason = None
    try:
        if place.stat().st_size != note.size_bytes:
            reason = f"{shown(place)} has not the size that was noted"
    except OSError as error:
        reason = f"{shown(place)}: {error.strerror}"
    return ImageCopy(
        path.name.removesuffix(NOTE), note.form, place, note.origin, note.started_at.astimezone(UTC),
        note.stopped_at.astimezone(UTC), note.size_bytes, note.sha256, reason is None, reason,
    )  # fmt: skip
