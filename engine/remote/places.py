"""An address on another server: ``ssh://[user@]host[:port]/path``.

How ssh is called is rsync's own business: ``RSYNC_RSH``, else ssh that asks nothing and does not wait for ever.
"""

import os
import shlex
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from engine.records.errors import RepriseError, Unreachable
from engine.system.programs import run_program

_SSH = "ssh -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15"
_NO_CONNECTION = 255  # ssh(1), "Exit status"


class RemotePlace(Struct, frozen=True):
    """A folder on another server."""

    login: str  # user@host, or host
    port: int | None
    path: str

    def below(self, name: str) -> "RemotePlace":
        return RemotePlace(self.login, self.port, f"{self.path.rstrip('/')}/{name}")

    @property
    def for_rsync(self) -> str:
        """As rsync names it (without the port, which is the shell's to know); an IPv6 address in brackets, or its
        first colon would end it (rsync(1), "ADVANCED USAGE")."""
        user, at, host = self.login.rpartition("@")
        return f"{user}{at}[{host}]:{self.path}" if ":" in host else f"{self.login}:{self.path}"

    @property
    def shell(self) -> list[str]:
        """The words that start ssh, without the login."""
        words = shlex.split(os.environ.get("RSYNC_RSH") or _SSH)
        return [*words, *(["-p", str(self.port)] if self.port else [])]

    def run(
        self,
        *words: str,
        timeout: float | None = 120,
        input: bytes | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> str:
        """One command there; its words reach the remote shell quoted. ssh ends with this process.
        Raises Unreachable, RepriseError."""
        command = [*self.shell, "--", self.login, shlex.join(words)]
        try:
            return run_program(command, timeout=timeout, input=input, on_line=on_line, outlives=False)
        except Unreachable:
            raise Unreachable(
                f"{self.login} does not answer", remedy="see that its sshd runs and can be reached"
            ) from None
        except RepriseError as error:
            if f"exit code {_NO_CONNECTION}" in error.message:
                remedy = f"try: {shlex.join([*self.shell, self.login, 'true'])}"
                raise Unreachable(f"{self.login} cannot be reached", cause=error.cause, remedy=remedy) from None
            raise RepriseError(f"{words[0]} failed on {self.login}", cause=error.cause) from None

    def __str__(self) -> str:
        user, at, host = self.login.rpartition("@")
        port = f":{self.port}" if self.port else ""
        return f"ssh://{user}{at}{f'[{host}]' if ':' in host else host}{port}{self.path}"


def read_place(text: str) -> RemotePlace:
    """A site file's ``second``, which was checked when it was read. Raises ValueError."""
    found = urlsplit(text)
    if found.scheme != "ssh" or not found.hostname or not found.path:
        raise ValueError(f"{text!r} is not ssh://user@host/path")
    host = found.hostname
    login = f"{unquote(found.username)}@{host}" if found.username else host
    return RemotePlace(login, found.port, unquote(found.path).rstrip("/") or "/")
