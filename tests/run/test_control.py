"""The control socket against clients that do not behave."""

import random
import socket
import stat
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.records.errors import RepriseError, Unreachable
from engine.run.control import Control, send


class Engine:
    """Something that serves the socket as an engine does."""

    def __init__(self, folder: Path) -> None:
        self.heard: list[Mapping[str, Any]] = []
        self.control = Control(folder, self.answer)
        self.leaving = False
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def answer(self, command: Mapping[str, Any]) -> Mapping[str, Any]:
        self.heard.append(command)
        return {"ok": command["command"] != "finish", "message": "not now", "remedy": "later"}

    def serve(self) -> None:
        while not self.leaving:
            self.control.serve(0.05)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    found = Engine(tmp_path)
    yield found
    found.leaving = True
    found.thread.join()
    found.control.close()


def test_a_command_is_answered_and_a_refusal_is_an_error_in_the_engines_words(tmp_path: Path, engine: Engine) -> None:
    assert send(tmp_path, "hold")["ok"]
    with pytest.raises(RepriseError, match="not now") as refused:
        send(tmp_path, "finish")
    assert refused.value.remedy == "later"
    assert [command["command"] for command in engine.heard] == ["hold", "finish"]


def test_a_large_target_comes_through_whole(tmp_path: Path, engine: Engine) -> None:
    target = {"pieces": list(range(100_000))}
    send(tmp_path, "advance", target=target)
    assert engine.heard[0]["target"] == target


def test_only_its_owner_may_speak_to_it(tmp_path: Path, engine: Engine) -> None:
    assert stat.S_IMODE((tmp_path / "control").stat().st_mode) == 0o600


def test_without_an_engine_the_remedy_is_named(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(Unreachable, match="not alive") as dead:
            send(tmp_path, "cancel")
        assert dead.value.remedy is not None and "reprise resume" in dead.value.remedy
        control = Control(tmp_path, lambda command: {})
        control._socket.close()  # died: the file stays


def test_rubbish_and_silence_do_not_end_the_engine(tmp_path: Path, engine: Engine) -> None:
    chance = random.Random(1)
    rubbish = [b"", b"\n", b"{}\n", b'{"command": "rm"}\n', b"[" * 5000 + b"\n", b"\0\xff\n", b'{"command": 3}\n']
    rubbish += [chance.randbytes(50) + b"\n" for _ in range(10)]
    for data in rubbish:
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(tmp_path / "control"))
            line.sendall(data)
            if chance.random() < 0.5:
                line.shutdown(socket.SHUT_WR)
                line.settimeout(10)
                line.recv(1000)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(tmp_path / "control"))
        assert send(tmp_path, "status", timeout=60)["ok"]
    assert [command["command"] for command in engine.heard] == ["status"]
