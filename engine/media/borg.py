"""A borg repository, read by borg 1.2 or newer of the 1 series: its archives, what one holds, and files out of it.

borg's JSON (its manual, "Frontends"): times are local and without a zone, so it runs in UTC, and they are UTC; they
have microseconds, rounded. Entries come in the order in which they were archived: they are sorted in a temporary file.
A file that was linked to an earlier one has no content of its own there. A byte that is not UTF-8 becomes ``?``: where
there is one, the names are asked for once more, in an encoding that hides nothing (PYTHONIOENCODING).

borg reads behind its shared lock, which is a file in the repository: without the lock it could repair what another borg
is just writing. Where nothing can be written the lock is left out. Its caches, and what it remembers of repositories,
go into a folder that vanishes; only the operator's keys are left where they are. borg checks each piece that it reads.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from engine.media.borg_output import Sorted, as_told, explained, read_archives, read_names, read_said
from engine.media.catalogue import Entry
from engine.media.fetched import Tally, Wanted, opened_up, settle, staging_of
from engine.media.programs import Talk, talking
from engine.records.copies import MediaSnapshot, Problem
from engine.records.errors import DamagedCopy, RepriseError
from engine.site import MediaRepository
from engine.transfer.failures import writing

LISTING_SECONDS = 60.0
_LISTING_WAIT, _WAIT = 2, 60  # seconds for a lock
_SILENCE = 3600.0  # seconds; a hash of a large file from afar takes its time
_STARTS = 200  # of borg, to pass over as many damaged files
_BY_NAME = 60_000  # bytes of paths in one command line
_ASKED = "{type}{mode}{uid}{gid}{size}{path}{source}{isomtime}"


def list_snapshots(repository: MediaRepository) -> tuple[list[MediaSnapshot], list[Problem]]:
    """Its archives, oldest first, and what cannot be used. Raises RepriseError."""
    words = ["list", "--json", "--format", "{archive}{id}{start}{end}"]
    with _borg(repository, words, LISTING_SECONDS, _LISTING_WAIT) as talk:
        data = b"".join(block for block in talk.blocks() if block is not None)
        talk.finished(_explained(repository), ok=(0, 1))
    return read_archives(data, repository)


class BorgFiles:
    """What one archive of a borg repository holds below the media folder."""

    root = None
    tells_hashes = True
    resolution = 1000

    def __init__(self, snapshot: MediaSnapshot, repository: MediaRepository, media_path: str) -> None:
        self._repository = repository
        self._archive = f"::{snapshot.path.name}"
        inside = repository.inside if repository.inside is not None else media_path
        self._inside = os.path.normpath(f"/{inside}").strip("/")  # "." is the top
        self._broken_off: bytes | None = None  # the file that an extraction came to last, as told

    @contextmanager
    def entries(self, *, hashes: bool = True) -> Iterator[Iterator[Entry]]:
        """With ``hashes`` borg reads the content of every file for its SHA-256; without, only the list."""
        with Sorted(self._inside) as sorted_:
            self._list(sorted_, [f"pp:{self._inside}"] if self._inside else [], hashes)
            if masters := sorted_.masters_outside():
                self._list(sorted_, [b"pf:" + each for each in masters], hashes)
            yield sorted_.entries(self._link)

    def _list(self, into: "Sorted", paths: Sequence[str | bytes], hashes: bool) -> None:
        """At a damaged piece borg ends, and with it the list: then the hashes by then are all that there are."""
        first = into.count
        try:
            self._read(into, paths, _ASKED + ("{sha256}" if hashes else ""))
        except DamagedCopy:
            if not hashes:
                raise
            into.begin_again(first)
            self._read(into, paths, _ASKED)
            into.take_known_hashes()
        if into.doubtful:
            with self._run(
                ["list", "--format", "{bpath}{NUL}", self._archive, *paths], {"PYTHONIOENCODING": "unicode_escape"}
            ) as talk:
                into.name(read_names(block for block in talk.blocks() if block is not None), first)
                talk.finished(_explained(self._repository), ok=(0, 1))

    def _read(self, into: "Sorted", paths: Sequence[str | bytes], asked: str) -> None:
        with self._run(["list", "--json-lines", "--format", asked, self._archive, *paths]) as talk:
            into.read(line for line in talk.lines() if line is not None)
            talk.finished(_explained(self._repository), ok=(0, 1))

    def _link(self, path: bytes) -> bytes:
        """Where a link leads that is not UTF-8, from the link itself, extracted for that."""
        with tempfile.TemporaryDirectory(prefix="reprise-") as place:
            staged = os.fsencode(place)
            self._extract([b"pf:" + self._full(path)], staged, Tally(lambda files, bytes: None))
            return os.readlink(staged + b"/" + self._full(path))  # noqa: PTH115

    def _full(self, path: bytes) -> bytes:
        return b"/".join(part for part in (os.fsencode(self._inside), path) if part)

    def fetch(self, paths: Path, into: Path, say: Callable[[int, int], None]) -> None:
        """borg looks each path up, however many there are: those that a file of patterns cannot hold (with a line
        break, or not UTF-8) are named in the command line. At a damaged piece it ends: it is started again for what
        comes behind the file that it belongs to."""
        wanted, target = Wanted(paths), os.fsencode(into)
        tally = Tally(say)
        damage: DamagedCopy | None = None
        try:
            with writing(into):
                for _ in range(_STARTS):
                    try:
                        self._extract_and_settle(wanted, target, tally)
                        break
                    except DamagedCopy as error:
                        damage = damage or error
                else:
                    assert damage is not None
                    raise RepriseError(damage.message, cause=damage.cause, remedy=damage.remedy)
                tally.end()
        finally:
            wanted.close()
        if damage is not None:
            raise damage

    def _extract_and_settle(self, wanted: Wanted, target: bytes, tally: Tally) -> None:
        """Raises DamagedCopy where a file of those that are wanted was passed over, which is not wanted from now on."""
        staging = staging_of(target)
        os.mkdir(staging, 0o700)  # noqa: PTH102
        failure: RepriseError | None = None
        self._broken_off = None
        try:
            self._extract_all(wanted, staging, tally)
        except RepriseError as error:
            failure = error
        opened_up(staging)
        passed_over = False
        for path in list(wanted):
            if failure is not None and self._broken_off is not None and as_told(self._full(path)) == self._broken_off:
                passed_over = wanted.take(path)  # borg was just writing it
            elif (size := settle(staging, target, self._full(path), path)) is not None:
                wanted.take(path)
                tally.add(size)
        shutil.rmtree(staging)
        if failure is None:
            return
        if isinstance(failure, DamagedCopy) and not passed_over:
            raise RepriseError(failure.message, cause=failure.cause, remedy=failure.remedy)
        raise failure

    def _extract_all(self, wanted: Wanted, staging: bytes, tally: Tally) -> None:
        odd: list[bytes] = []
        plain = 0
        with tempfile.NamedTemporaryFile("wb", prefix="reprise-") as patterns:
            for path in wanted:
                full = self._full(path)
                if _odd(full):
                    odd.append(b"pf:" + full)
                    if sum(map(len, odd)) > _BY_NAME:
                        self._extract(odd, staging, tally)
                        odd.clear()
                else:
                    patterns.write(b"+ pf:" + full + b"\n")
                    plain += 1
            patterns.write(b"- re:.*\n")
            patterns.flush()
            if plain:
                self._extract([], staging, tally, ["--patterns-from", patterns.name])
        if odd:
            self._extract(odd, staging, tally)

    def _extract(self, paths: Sequence[bytes], into: bytes, tally: Tally, more: Sequence[str] = ()) -> None:
        words = ["extract", "--progress", "--list", "--sparse", "--noflags", *more]
        errors: list[str] = []
        files = bytes_ = 0
        with self._run([*words, self._archive, *paths], cwd=os.fsdecode(into), merged=True, outlives=False) as talk:
            for line in talk.lines():
                said = read_said(line) if line is not None else None
                if said is None:
                    continue
                if said.name == "borg.output.list":
                    files += 1
                    self._broken_off = os.fsencode(said.message)
                elif said.type == "progress_percent" and said.current is not None:
                    bytes_ = said.current
                elif said.levelname in ("ERROR", "CRITICAL", "WARNING"):
                    errors = [*errors[-9:], (line or b"").decode("utf-8", "replace")]
                tally.on_the_way(files, bytes_)
            talk.finished(lambda code, said: explained(self._repository.path, code, errors), ok=(0, 1))

    def _run(
        self,
        words: Sequence[str | bytes],
        env: dict[str, str] | None = None,
        *,
        cwd: str = "/",
        merged: bool = False,
        outlives: bool = True,
    ) -> AbstractContextManager[Talk]:
        return _borg(self._repository, words, _SILENCE, _WAIT, env or {}, cwd=cwd, merged=merged, outlives=outlives)


def _odd(path: bytes) -> bool:
    """Whether a path cannot stand in a file of patterns: their lines are stripped, and UTF-8."""
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return text != text.strip() or len(text.splitlines()) > 1 or "\r" in text


@contextmanager
def _borg(
    repository: MediaRepository,
    words: Sequence[str | bytes],
    silence: float,
    wait: int,
    env: dict[str, str] | None = None,
    *,
    cwd: str = "/",
    merged: bool = False,
    outlives: bool = True,
) -> Iterator[Talk]:
    home = os.path.expanduser("~")  # noqa: PTH111
    with tempfile.TemporaryDirectory(prefix="reprise-borg-") as place:
        told = {
            "BORG_REPO": repository.path,
            "BORG_BASE_DIR": place,
            "BORG_CACHE_DIR": f"{place}/cache",
            "BORG_CONFIG_DIR": f"{place}/config",
            "BORG_SECURITY_DIR": f"{place}/security",
            "BORG_KEYS_DIR": os.environ.get("BORG_KEYS_DIR", f"{home}/.config/borg/keys"),
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_DISPLAY_PASSPHRASE": "no",
            "BORG_EXIT_CODES": "legacy",
        } | (env or {})
        lock = ["--lock-wait", str(wait)] if _writable(repository.path) else ["--bypass-lock"]
        command = ["--log-json", *lock, *words]
        with talking(repository, command, env=told, silence=silence, cwd=cwd, merged=merged, outlives=outlives) as talk:
            yield talk


def _writable(path: str) -> bool:
    """Whether borg can lock a repository. One that is away has a server that says so itself."""
    return not path.startswith("/") or not os.path.isdir(path) or os.access(path, os.W_OK)  # noqa: PTH112


def _explained(repository: MediaRepository) -> Callable[[int, list[str]], RepriseError]:
    return lambda code, said: explained(repository.path, code, said)
