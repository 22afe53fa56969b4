"""A restic repository, read by restic 0.14 or newer: its snapshots, what one holds, and files out of it.

restic's JSON (restic's manual, "Scripting"): `snapshots` prints one list; `ls` one line for each entry, a folder before
what it holds, names in the order of their bytes (tried on 0.14: the order of a catalogue); `restore` lines of progress
from 0.16 on, before that nothing. In JSON a byte that is not UTF-8 becomes U+FFFD, and `ls` does not tell where a link
leads: both are looked up in the snapshot's trees (`cat blob`), whose names are exact. Nothing here locks the
repository (``--no-lock``) or keeps a cache (``--no-cache``). restic checks each piece that it reads by its SHA-256.
"""

import io
import os
import re
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import msgspec

from engine.media.catalogue import Entry
from engine.media.fetched import Tally, Wanted, make_way, measured, opened_up, settle, staging_of
from engine.media.programs import Talk, talking, version_of
from engine.media.restic_output import (
    Complaints,
    Tree,
    TreeNode,
    decode,
    explained,
    read_listing,
    read_progress,
    read_snapshots,
    unquoted,
)
from engine.records.copies import MediaSnapshot
from engine.records.errors import DamagedCopy, RepriseError
from engine.site import MediaRepository
from engine.transfer.failures import writing

LISTING_SECONDS = 60.0
_SILENCE = 600.0  # seconds; a large index comes slowly from afar
_PATTERNS = 500  # paths that `restore` is given by name: it holds each entry of the snapshot against each of them
_BLOCK = 1 << 16
_ATTRIBUTE = "SCHILY.xattr."  # before the name of an extended attribute, in a tar archive


def list_snapshots(repository: MediaRepository, media_path: str) -> list[MediaSnapshot]:
    """Its snapshots, oldest first. Raises RepriseError."""
    data = _told(repository, ["snapshots", "--json"], LISTING_SECONDS)
    return read_snapshots(data, repository, media_path)


class ResticFiles:
    """What one snapshot of a restic repository holds below the media folder."""

    root = None
    tells_hashes = False
    resolution = 1

    def __init__(self, snapshot: MediaSnapshot, repository: MediaRepository, media_path: str) -> None:
        self._repository = repository
        self._id = snapshot.path.name  # all of it
        inside = repository.inside if repository.inside is not None else media_path
        self._inside = os.path.normpath("/" + inside.strip("/"))  # "." is the top

    @contextmanager
    def entries(self, *, hashes: bool = True) -> Iterator[Iterator[Entry]]:
        """restic tells no hash of a file, whether wanted or not."""
        folder = [self._inside, "--recursive"] if self._inside != "/" else []
        command = _command("ls", "--json", self._id, *folder)
        with talking(self._repository, command, env=_env(self._repository), silence=_SILENCE) as talk:
            yield self._read(talk)

    def _read(self, talk: Talk) -> Iterator[Entry]:
        lines = (line for line in talk.lines() if line is not None)
        yield from read_listing(lines, self._inside, _Trees(self._repository, self._id).nodes)
        talk.finished(_explained(self._repository))

    def fetch(self, paths: Path, into: Path, say: Callable[[int, int], None]) -> None:
        """A few by name; of many, the whole folder as a stream, of which only these are kept; and should that break
        off (a damaged piece), the whole folder restored beside them, which goes on behind such a piece."""
        wanted, target = Wanted(paths), os.fsencode(into)
        try:
            with writing(into):
                tally = Tally(say)
                if wanted.count > _PATTERNS:
                    try:
                        self._stream(wanted, target, tally)
                    except (RepriseError, tarfile.TarError):
                        self._restore_and_settle(None, wanted, target, tally)
                elif wanted.count:
                    self._restore_and_settle(list(wanted), wanted, target, tally)
                tally.end()
        finally:
            wanted.close()

    def _restore_and_settle(self, names: list[bytes] | None, wanted: Wanted, into: bytes, tally: "Tally") -> None:
        staging = staging_of(into)
        os.mkdir(staging, 0o700)  # noqa: PTH102
        failure: RepriseError | None = None
        errors = Complaints()
        try:
            self._restore(names, staging, tally.on_the_way, errors)
        except RepriseError as error:
            failure = error
        opened_up(staging)
        above = os.fsencode(self._inside).rstrip(b"/")
        below = staging + above
        for path in list(wanted) if names is None else names:
            if failure is not None and errors.about(above + b"/" + path):
                continue  # a file of the right size with holes where pieces could not be read
            if (size := settle(below, into, path, path)) is not None:
                wanted.take(path)
                tally.add(size)
        shutil.rmtree(staging)
        if failure is not None:
            raise errors.as_damage(failure)

    def _restore(
        self, names: list[bytes] | None, into: bytes, say: Callable[[int, int], None], errors: "Complaints"
    ) -> None:
        above = os.fsencode(self._inside).rstrip(b"/")
        patterns = [above or b"/*"] if names is None else [above + b"/" + name for name in names]
        includes = [word for each in patterns for word in (b"--include", as_pattern(each))]
        sparse = ["--sparse"] if version_of(self._repository) >= (0, 15) else []
        command = [*_command("restore", "--json", *sparse, self._id, "--target"), into, *includes]
        told = False
        looked = time.monotonic()
        with talking(self._repository, command, env=_env(self._repository), silence=_SILENCE * 6, merged=True,
                     outlives=False) as talk:  # fmt: skip
            for line in talk.lines():
                if line is not None:
                    errors.hear(line)
                if line is not None and (done := read_progress(line)) is not None:
                    told = True
                    say(0, done[1])  # it counts folders too
                elif not told and time.monotonic() - looked > 2:  # before 0.16 it says nothing: look for ourselves
                    say(*measured(into))
                    looked = time.monotonic() + 10 * (time.monotonic() - looked - 2)
            talk.finished(lambda code, said: _explained(self._repository)(code, [*errors.first, *errors.last]))

    def _stream(self, wanted: Wanted, into: bytes, tally: "Tally") -> None:
        above = os.fsencode(self._inside).strip(b"/")
        command = _command("dump", "--archive", "tar", self._id, self._inside)
        with talking(self._repository, command, env=_env(self._repository), silence=_SILENCE, outlives=False) as talk:
            archive = tarfile.open(fileobj=io.BufferedReader(_Blocks(talk), _BLOCK), mode="r|", bufsize=_BLOCK)  # noqa: SIM115
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # it would remember every one
                name = os.fsencode(member.name).strip(b"/")
                path = name[len(above) + 1 :] if above and name.startswith(above + b"/") else name
                if not member.isreg() or not wanted.take(path):
                    continue
                content = archive.extractfile(member)
                assert content is not None
                _write(content, member.pax_headers, staging_of(into), make_way(into, path), tally)
            talk.finished(_explained(self._repository))


class _Blocks(io.RawIOBase):
    """A program's output as a file to be read from."""

    def __init__(self, talk: Talk) -> None:
        self._blocks = (data for data in talk.blocks() if data is not None)
        self._pending = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._pending = self._pending or next(self._blocks, b"")
        data, self._pending = self._pending[: len(buffer)], self._pending[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def _write(content: IO[bytes], headers: Mapping[str, str], draft: bytes, place: bytes, tally: Tally) -> None:
    """A file that appears whole, by way of ``draft``, with its extended attributes where they can be had; zeros become
    holes."""
    size = 0
    try:
        with open(draft, "wb", buffering=0) as file:  # noqa: PTH123
            while block := content.read(_BLOCK):
                size += len(block)
                if block.count(0) == len(block):
                    file.seek(len(block), os.SEEK_CUR)
                else:
                    file.write(block)
                tally.on_the_way(0, size)
            file.truncate(size)
            for name, value in headers.items():
                if name.startswith(_ATTRIBUTE):
                    with suppress(OSError):
                        os.setxattr(file.fileno(), name.removeprefix(_ATTRIBUTE), os.fsencode(value))
        os.rename(draft, place)  # noqa: PTH104
    except BaseException:
        os.unlink(draft)  # noqa: PTH108
        raise
    tally.add(size)


class _Trees:
    """The folders of a snapshot as restic keeps them: exact names, and where links lead."""

    def __init__(self, repository: MediaRepository, id: str) -> None:
        self._repository, self._id = repository, id
        self._read = lru_cache(maxsize=32)(self._read_one)
        self._root: str | None = None

    def nodes(self, folder: bytes) -> list[tuple[bytes, TreeNode]]:
        """What stands in a folder (``b""``: the root), by exact name, in order."""
        if self._root is None:
            said = _told(self._repository, ["cat", "snapshot", self._id], _SILENCE)
            self._root = decode(said, _Root).tree
        tree = self._root
        for part in folder.split(b"/") if folder else []:
            tree = next((node.subtree for name, node in self._read(tree) if name == part), None) or ""
        return self._read(tree)

    def _read_one(self, tree: str) -> list[tuple[bytes, TreeNode]]:
        if not re.fullmatch(r"[0-9a-f]{64}", tree):
            raise DamagedCopy("a folder of the snapshot is not where restic said")
        found = decode(_told(self._repository, ["cat", "blob", tree], _SILENCE), Tree)
        return [(unquoted(node.name), node) for node in found.nodes]


class _Root(msgspec.Struct):
    """`cat snapshot`."""

    tree: str


def as_pattern(path: bytes) -> bytes:
    """A pattern of restic's that this path matches, and hardly another."""
    return re.sub(rb"([\\*?\[\]])", rb"\\\1", path)


def _command(*words: str) -> list[str | bytes]:
    return ["--no-lock", "--no-cache", *words]


def _env(repository: MediaRepository) -> dict[str, str]:
    return {"RESTIC_REPOSITORY": repository.path, "RESTIC_PROGRESS_FPS": "2"}


def _told(repository: MediaRepository, words: list[str], seconds: float) -> bytes:
    """All that a short command prints."""
    with talking(repository, _command(*words), env=_env(repository), silence=seconds) as talk:
        data = b"".join(block for block in talk.blocks() if block is not None)
        talk.finished(_explained(repository))
    return data


def _explained(repository: MediaRepository) -> Callable[[int, list[str]], RepriseError]:
    def explain(code: int, said: list[str]) -> RepriseError:
        return explained(repository.path, code, said)

    return explain
