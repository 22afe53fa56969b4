"""The control socket: how an operator holds, cancels or answers a run.

A Unix socket in the run's folder. A client sends one JSON line ``{"command", "target"?, "operator"?}`` and gets one
``{"ok", "message"?, "remedy"?, …}``. The engine has no threads: it serves the socket whenever a step comes to a safe
point, tells its progress or waits.
"""

import os
import select
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from engine.records.coding import to_json
from engine.records.errors import RepriseError, Unreachable
from engine.system.operator import present_operator

Command = Mapping[str, Any]
COMMANDS = ("hold", "go-on", "cancel", "finish", "advance", "status")
_LINE = 16 << 20  # bytes; an advance carries a resolved recovery point
_PATIENCE = 2.0  # seconds that the engine gives a client to say its line


class Control:
    """The engine's end. ``answer`` gets a command and returns what the client is told."""

    def __init__(self, folder: Path, answer: Callable[[Command], Mapping[str, Any]]) -> None:
        self._folder = folder
        self._answer = answer
        self._name = "control"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with suppress(FileNotFoundError):
            (folder / self._name).unlink()  # a dead engine's
        with _short(folder, self._name) as path:
            self._socket.bind(path)
        (folder / self._name).chmod(0o600)  # the folder is 0700: nobody came in between
        self._socket.listen(8)
        self._socket.setblocking(False)
        os.register_at_fork(after_in_child=self._socket.close)

    def serve(self, seconds: float = 0.0) -> None:
        """Answer whoever has called; wait up to ``seconds`` for the first one."""
        ready, _, _ = select.select([self._socket], [], [], seconds)
        while ready:
            with suppress(OSError), self._socket.accept()[0] as client:
                client.settimeout(_PATIENCE)
                client.sendall(to_json(self._reply(client)) + b"\n")
            ready, _, _ = select.select([self._socket], [], [], 0)

    def _reply(self, client: socket.socket) -> Mapping[str, Any]:
        try:
            command = msgspec.json.decode(_read_line(client, time.monotonic() + _PATIENCE))
        except (msgspec.DecodeError, RecursionError):
            return {"ok": False, "message": "that was not a JSON line"}
        if not isinstance(command, dict) or command.get("command") not in COMMANDS:
            return {"ok": False, "message": f"no such command; there are: {', '.join(COMMANDS)}"}
        return self._answer(command)

    def close(self) -> None:
        self._socket.close()
        with suppress(OSError):
            (self._folder / self._name).unlink()


def send(folder: Path, command: str, *, target: Mapping[str, Any] | None = None, timeout: float = 15) -> dict[str, Any]:
    """Tell the engine of a run something and return its answer. ``timeout`` in seconds. Raises Unreachable where no
    engine listens or answers, RepriseError with the engine's own words where it declines."""
    dead = Unreachable(
        f"the engine of {folder.name} is not alive",
        remedy=f"go on with: reprise resume {folder.name} (or undo it with: reprise rollback {folder.name})",
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(timeout)
        try:
            with _short(folder, "control") as path:
                line.connect(path)
            words = {"command": command, "target": target, "operator": present_operator()}
            line.sendall(to_json(words) + b"\n")
            answer = msgspec.json.decode(_read_line(line, time.monotonic() + timeout))
        except TimeoutError:
            raise Unreachable(
                f"the engine of {folder.name} did not answer within {timeout:g} seconds",
                cause="it is busy in the middle of a step; what it was told counts from the next safe point on",
            ) from None
        except (OSError, msgspec.DecodeError):
            raise dead from None
    if not isinstance(answer, dict):
        raise dead
    if not answer.get("ok"):
        raise RepriseError(str(answer.get("message", "the engine declined")), remedy=answer.get("remedy"))
    return answer


def _read_line(line: socket.socket, deadline: float) -> bytes:
    """Up to the first newline. Raises TimeoutError, or DecodeError where the line is too long."""
    data = bytearray()
    while not data.endswith(b"\n"):
        if time.monotonic() > deadline:
            raise TimeoutError
        received = line.recv(65536)
        if not received:
            break
        data += received
        if len(data) > _LINE:
            raise msgspec.DecodeError("too long")
    return bytes(data)


@contextmanager
def _short(folder: Path, name: str) -> Iterator[str]:
    """A path to the socket that fits into sun_path (108 bytes with its end, unix(7)), however deep the folder lies."""
    direct = str(folder / name)
    if len(os.fsencode(direct)) < 100:
        yield direct
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{name}"
    finally:
        os.close(handle)
