"""restic and borg, started so that nothing asks, nothing hangs, and no password is seen.

The password comes from the site's command or file and is handed over through a pipe: it stands in no command line, no
environment, no file. What these programs want of the operator's own (ssh's agent, the keys of a cloud) is let through
from our environment; everything else is a clean one, in UTC, so that borg's times are UTC too.
"""

import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import IO

from msgspec import Struct

from engine.records.errors import DamagedCopy, RepriseError, Unreachable
from engine.site import MediaRepository
from engine.system.dying import die_with
from engine.system.programs import clean_environment
from engine.transfer.naming import shown

_LET_THROUGH = ("AWS_", "AZURE_", "B2_", "GOOGLE_", "OS_", "RCLONE_", "ST_", "SSH_", "HTTP_", "HTTPS_", "NO_PROXY")
_LET_THROUGH_NAMES = ("BORG_RSH", "BORG_REMOTE_PATH", "BORG_KEYS_DIR", "BORG_KEY_FILE", "TMPDIR", "SSL_CERT_FILE")
_LONGEST_LINE = 1 << 20  # bytes
_LONGEST_PASSWORD = 32 << 10  # bytes; a pipe takes them without a reader
_PASSWORD_SECONDS = 60.0
_KEPT = 20  # lines of what a program says besides its output
_LOOK_SECONDS = 0.5
OLDEST = {"restic": (0, 14), "borg": (1, 2)}
_PACKAGE = {"restic": "restic", "borg": "borgbackup"}


class Talk(Struct):
    """A program that runs: its output as it comes, and how it ended."""

    _process: "subprocess.Popen[bytes]"
    _errors: IO[bytes]
    _name: str
    _silence: float

    def lines(self) -> Iterator[bytes | None]:
        """Each line without its end; None every now and then while nothing is said. Raises Unreachable after the time
        without a line that it was given, DamagedCopy for a line that never ends."""
        pending = b""
        for data in self.blocks():
            if data is None:
                yield None
                continue
            *whole, pending = (pending + data).split(b"\n")
            yield from whole
            if len(pending) > _LONGEST_LINE:
                raise DamagedCopy(f"{self._name} printed a line that is longer than {_LONGEST_LINE} bytes")
        if pending:
            yield pending

    def blocks(self) -> Iterator[bytes | None]:
        """The output as it comes; None every now and then while nothing comes."""
        assert self._process.stdout is not None
        handle = self._process.stdout.fileno()
        heard = time.monotonic()
        while True:
            if select.select([handle], [], [], _LOOK_SECONDS)[0]:
                data = os.read(handle, 1 << 16)
                if not data:
                    return
                heard = time.monotonic()
                yield data
                heard = max(heard, time.monotonic())  # whoever reads us may take his time
            elif time.monotonic() - heard > self._silence:
                raise Unreachable(
                    f"{self._name} said nothing for {self._silence:g} seconds and was stopped",
                    remedy="see whether its repository can be reached",
                )
            else:
                yield None

    def finished(self, explain: Callable[[int, list[str]], RepriseError], ok: tuple[int, ...] = (0,)) -> None:
        """Hear it out, and see how it ended: ``explain`` makes an error of its exit code and its last words."""
        for _ in self.blocks():
            pass
        try:
            code = self._process.wait(self._silence)
        except subprocess.TimeoutExpired:
            raise Unreachable(f"{self._name} did not end within {self._silence:g} seconds and was stopped") from None
        if code not in ok:
            raise explain(code, _last_lines(self._errors))


@contextmanager
def talking(
    repository: MediaRepository,
    arguments: Sequence[str | bytes],
    *,
    env: Mapping[str, str],
    silence: float,
    cwd: str = "/",
    merged: bool = False,
    outlives: bool = True,
) -> Iterator[Talk]:
    """Run the repository's program and hear it. ``merged``: its stderr comes with its output. ``silence``: seconds
    without a word after which it is stopped; it is stopped too where the context is left early. Not ``outlives``: the
    kernel ends it together with us (never from a thread, whose end would count as ours).

    Raises RepriseError where it cannot be started.
    """
    secret = password(repository)
    passing: list[int] = []
    told = dict(environment(), **env)
    with tempfile.TemporaryFile() as errors:
        try:
            if secret is not None:
                passing.append(_in_a_pipe(secret))
                told |= _where_the_password_is(repository.kind, passing[0])
            try:
                process = subprocess.Popen(
                    [program_of(repository), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT if merged else errors,
                    cwd=cwd,
                    env=told,
                    pass_fds=passing,
                    preexec_fn=None if outlives else partial(die_with, os.getpid()),
                )
            except OSError as problem:
                raise RepriseError(f"{repository.kind} could not be started", cause=problem.strerror) from None
        finally:
            for handle in passing:
                os.close(handle)
        talk = Talk(process, errors, repository.kind, silence)
        try:
            yield talk
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)  # one that the kernel does not let go of is left to it
            assert process.stdout is not None
            process.stdout.close()


def _last_lines(file: IO[bytes]) -> list[str]:
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - 65536))
    text = file.read(65536).decode("utf-8", "replace")
    return [shown(line.strip()) for line in text.splitlines() if line.strip()][-_KEPT:]


def environment() -> dict[str, str]:
    """What these programs get to see, but for what is their own."""
    through = {name: text for name, text in os.environ.items() if _goes_through(name)}
    return through | clean_environment() | {"TZ": "UTC"}


def _goes_through(name: str) -> bool:
    return name.upper().startswith(_LET_THROUGH) or name in _LET_THROUGH_NAMES or name.startswith("RESTIC_REST_")


def _where_the_password_is(kind: str, handle: int) -> dict[str, str]:
    if kind == "borg":
        return {"BORG_PASSPHRASE_FD": str(handle)}
    return {"RESTIC_PASSWORD_FILE": f"/dev/fd/{handle}"}


def _in_a_pipe(secret: bytes) -> int:
    out, into = os.pipe()
    try:
        os.write(into, secret)
    finally:
        os.close(into)
    return out


def password(repository: MediaRepository) -> bytes | None:
    """The repository's password, from the site's command or file; None where it names neither. Raises RepriseError
    that tells neither the password nor the command, in whose text people write passwords."""
    if repository.password_file is not None:
        try:
            secret = Path(repository.password_file).read_bytes()
        except OSError as problem:
            raise RepriseError(
                f"the password of {repository.path} cannot be read",
                cause=f"password_file {repository.password_file}: {problem.strerror}",
                remedy="see whether the file is there, and readable for who runs this",
            ) from None
    elif repository.password_command is not None:
        secret = _asked(repository)
    else:
        return None
    if not secret.strip() or len(secret) > _LONGEST_PASSWORD:
        what = "nothing" if not secret.strip() else f"{len(secret)} bytes"
        raise RepriseError(
            f"the password of {repository.path} cannot be used",
            cause=f"{'password_file' if repository.password_file else 'password_command'} gave {what}",
            remedy="the password, and nothing else, in one line",
        )
    return secret


def _asked(repository: MediaRepository) -> bytes:
    assert repository.password_command is not None
    remedy = "run password_command by hand: it must print the password, and nothing else"
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", repository.password_command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            timeout=_PASSWORD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unreachable(
            f"the password of {repository.path} did not come",
            cause=f"password_command did not end within {_PASSWORD_SECONDS:g} seconds",
            remedy=remedy,
        ) from None
    if done.returncode != 0:
        raise RepriseError(
            f"the password of {repository.path} did not come",
            cause=f"password_command failed with exit code {done.returncode}",
            remedy=remedy,
        )
    return done.stdout


def program_of(repository: MediaRepository) -> str:
    """The program to run, there and new enough. Raises RepriseError."""
    kind = repository.kind
    found = shutil.which(repository.program or kind, path=clean_environment()["PATH"])
    if found is None:
        raise RepriseError(
            f"{repository.program or kind} is not installed",
            cause=f"without it the snapshots in {repository.path} cannot be read",
            remedy=f'install it (Debian: apt-get install {_PACKAGE[kind]}), or name it in the site: program = "/…"',
        )
    version = _version(found, os.stat(found).st_mtime_ns)  # noqa: PTH116
    wanted = OLDEST[kind]
    if version is None or version < wanted or (kind == "borg" and version >= (2,)):
        is_ = ".".join(map(str, version)) if version else "of an unknown version"
        raise RepriseError(
            f"{found} is {is_}",
            cause=f"{kind} {wanted[0]}.{wanted[1]} or newer is needed"
            + (", and older than 2" if kind == "borg" else ""),
            remedy=f'install another {kind}, and name it in the site: program = "/…"',
        )
    return found


def version_of(repository: MediaRepository) -> tuple[int, ...]:
    """Of the program that is run: which of its options there are. Raises RepriseError."""
    program = program_of(repository)
    return _version(program, os.stat(program).st_mtime_ns) or (0,)  # noqa: PTH116


@lru_cache(maxsize=16)
def _version(program: str, changed: int) -> tuple[int, ...] | None:
    """``restic 0.14.0 compiled with …``, ``borg 1.2.4``."""
    word = "--version" if Path(program).name.startswith("borg") else "version"
    try:
        with tempfile.TemporaryDirectory(prefix="reprise-") as place:
            done = subprocess.run(
                [program, word],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=clean_environment() | {"BORG_BASE_DIR": place},
                timeout=30,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = done.stdout.decode("ascii", "replace").split()
    with suppress(IndexError, ValueError):
        return tuple(int(part) for part in words[1].split("-")[0].split("+")[0].split(".")[:2])
    return None
