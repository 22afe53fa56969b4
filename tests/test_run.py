"""`./run`: what it does when all is set up, and the one line that it says where something is missing. That it sets up,
with and without uv, is `.ci/run`'s to show."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
RELEASES = {
    "debian": ("ID=debian", "apt-get install python3 python3-venv", "apt-get install python3-venv"),
    "ubuntu": ("ID=ubuntu\nID_LIKE=debian", "apt-get install python3.12-venv", "apt-get install python3.12-venv"),
    "rocky": ("ID=rocky\nID_LIKE='rhel centos fedora'", "dnf install python3.12", "install uv"),
    "alpine": ("ID=alpine", "apk add python3", "install uv"),
    "unknown": ("ID=beos", "install Python 3.11 or newer", "install uv"),
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with nothing in it but the door and the lock, under a name with a blank."""
    place = tmp_path / "check out"
    place.mkdir()
    for name in ("run", "requirements.lock"):
        shutil.copy(CHECKOUT / name, place)
    return place


@pytest.fixture
def program(checkout: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Calls the door from another folder. The environment's Python is a script that says how it was called; ``path``:
    where programs are looked for."""

    def call(*words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "PATH": path} if path is not None else dict(os.environ)
        command = ["/bin/sh", str(checkout / "run"), *words]
        return subprocess.run(
            command, cwd=checkout.parent, env=environ, capture_output=True, text=True, check=False, timeout=60
        )

    return call


def set_up(checkout: Path) -> None:
    """What a set-up leaves: the environment, and the lock that it was made for."""
    binaries = checkout / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").write_text('#!/bin/sh\necho "$PWD|$#|$*"\nexit 4\n')
    (binaries / "python").chmod(0o755)
    shutil.copy(checkout / "requirements.lock", checkout / ".venv" / ".stamp")


Program = Callable[..., subprocess.CompletedProcess[str]]


def test_what_is_set_up_is_executed_directly_in_the_callers_folder_with_his_words(
    checkout: Path, program: Program
) -> None:
    set_up(checkout)
    entry = checkout / ".venv/bin/reprise"
    said = program("reprise", "plan", "--name", "month end", "*")
    assert (said.stdout, said.stderr) == (f"{checkout.parent}|5|{entry} plan --name month end *\n", "")
    assert said.returncode == 4  # the program's own exit code
    assert program("demo", "--headless").stdout == f"{checkout.parent}|3|{entry} demo --headless\n"
    assert program().returncode == 2
    assert "usage" in program("unknown").stderr


@pytest.mark.parametrize("system", RELEASES)
@pytest.mark.parametrize("python", ["none", "too old", "no ensurepip"])
def test_where_python_is_missing_the_line_to_type_is_said_on_stderr_alone(
    checkout: Path, program: Program, python: str, system: str
) -> None:
    release, install, enable = RELEASES[system]
    (checkout / "os-release").write_text(f"{release}\n")
    text = (checkout / "run").read_text()
    assert text.count("/etc/os-release") == 1
    (checkout / "run").write_text(text.replace("/etc/os-release", '"$here/os-release"'))
    tools = checkout / "bin"
    tools.mkdir()
    for name in ("cmp", "mkdir", "rmdir", "sleep"):
        (tools / name).symlink_to(str(shutil.which(name)))
    name = "python3.12" if python == "no ensurepip" and system == "ubuntu" else "python3"  # beside its own
    if python != "none":
        answer = "exit 1" if python == "too old" else 'case "$*" in *ensurepip*) exit 1 ;; esac; exit 0'
        (tools / name).write_text(f"#!/bin/sh\n{answer}\n")
        (tools / name).chmod(0o755)
    said = program("demo", path=str(tools))
    assert (said.returncode, said.stdout) == (1, "")
    assert (enable if python == "no ensurepip" else install) in said.stderr
    assert not (checkout / ".venv.lock").exists()


def test_another_lock_than_the_stamps_sets_up_anew(checkout: Path, program: Program) -> None:
    set_up(checkout)
    with (checkout / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    tools = checkout / "bin"
    tools.mkdir()
    for name in ("cmp", "mkdir", "rmdir", "sleep"):
        (tools / name).symlink_to(str(shutil.which(name)))
    said = program("reprise", path=str(tools))
    assert said.returncode == 1 and "setting up" in said.stderr and said.stdout == ""


def test_a_set_up_that_is_under_way_is_waited_for_and_said_to_be(checkout: Path) -> None:
    (checkout / ".venv.lock").mkdir()
    waiting = subprocess.Popen(
        ["/bin/sh", str(checkout / "run"), "reprise"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert waiting.stdout is not None and waiting.stderr is not None
    assert f"rmdir '{checkout}/.venv.lock'" in waiting.stderr.readline()
    set_up(checkout)
    assert waiting.stdout.read().endswith(f"|1|{checkout}/.venv/bin/reprise\n")
    assert waiting.wait(60) == 4
    waiting.stdout.close()
    waiting.stderr.close()


def test_a_checkout_in_which_nothing_can_be_made_is_said_to_be_one(checkout: Path, program: Program) -> None:
    (checkout / ".venv.lock").touch()  # as good as a folder of somebody else's, which root may write to
    said = program("reprise")
    assert (said.returncode, said.stdout) == (1, "")
    assert f"set up as the owner of {checkout}" in said.stderr


def test_the_lock_holds_names_versions_and_hashes_and_no_address() -> None:
    lines = (CHECKOUT / "requirements.lock").read_text().splitlines()
    pin, digest = r"[a-z0-9.-]+==[0-9][a-z0-9.]*(?: ; [A-Za-z_ 0-9.'<>=!]+)?", r"    --hash=sha256:[0-9a-f]{64}"
    one = re.compile(rf"(?:{pin}|{digest})(?: \\)?")
    assert lines and [line for line in lines if not one.fullmatch(line) and not line.lstrip().startswith("#")] == []
    assert not [line for line in lines if "://" in line]
