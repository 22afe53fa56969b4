"""Catching a run in the middle of what it does: its processes are stopped (SIGSTOP), something happens, they go on."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine.records.runs import RunState, StepState
from engine.run.control import send
from engine.run.folder import find_run, read_run
from tests.clusters import Cluster, processes_below, wait_until
from tests.end_to_end.operator import CHECKOUT, Operator, operator_for

WORKER, FEED = "engine.transfer.worker", "engine.feed"


@dataclass
class Run:
    """A run that goes on in the background, and what a test does to it."""

    operator: Operator
    name: str

    @property
    def folder(self) -> Path:
        return find_run(self.operator.home / "state", self.name)

    @property
    def state(self) -> RunState:
        return read_run(self.folder)

    def step(self, name: str) -> StepState:
        return next(step for step in self.state.steps if step.name == name)

    def wait_for_step(self, name: str) -> None:
        """Until this step has begun."""
        wait_until(lambda: self.step(name).outcome != "to do", f"{name} did not begin")

    def wait_for_words(self, *words: str) -> str:
        """Until the run says, in its running step or as its error, one of these; what it said."""
        said = [""]

        def heard() -> bool:
            state = self.state
            running = next((step for step in state.steps if step.outcome == "running"), None)
            told = [state.error.message, state.error.cause or ""] if state.error else []
            told += [running.progress.detail] if running and running.progress else []
            said[0] = "; ".join(told)
            return any(word in said[0] for word in words)

        try:
            wait_until(heard, f"the run did not say any of {words}")
        except BaseException:
            print(f"the run says: {said[0]!r}, {self.state.outcome}")  # for the failed test's report
            raise
        return said[0]

    def wait_for_end(self, *outcomes: str) -> RunState:
        """Until its engine is gone; with one of these outcomes."""
        wait_until(lambda: self.state.pid is None, "the run did not end", timeout=120)
        state = self.state
        assert state.outcome in outcomes, (state.outcome, state.error)
        return state

    def child(self, module: str) -> int | None:
        """The engine's own process that runs this module."""
        engine = self.state.pid
        if engine is None:
            return None
        listed = Path(f"/proc/{engine}/task/{engine}/children")
        with suppress(OSError):
            for child in listed.read_text().split():
                if module.encode() in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
        return None

    @contextmanager
    def stopped_in(self, step: str, module: str, after: int) -> Iterator[int]:
        """The child that runs ``module`` stands still once it has written ``after`` bytes; it goes on behind the
        block, where it still lives. The step must not be over by then."""
        found: list[int] = []

        def caught() -> bool:
            if not found and (child := self.child(module)) is not None:
                found.append(child)
            assert self.step(step).outcome in ("to do", "running"), f"{step} was over before it could be caught"
            while found and self._written(found[0]) < after:
                if not Path(f"/proc/{found[0]}/io").exists():
                    return True
                time.sleep(0.0005)
            return bool(found)

        wait_until(caught, f"{module} was not seen")
        with stopped(found[0]):
            assert self.step(step).outcome == "running", f"{step} was over before it could be caught"
            yield found[0]

    @staticmethod
    def _written(pid: int) -> int:
        try:
            return int(Path(f"/proc/{pid}/io").read_text().split("wchar: ")[1].split()[0])
        except (OSError, IndexError):
            return 1 << 62


def answers_at_once(run: Run) -> None:
    """The engine hears its operator, whatever hangs."""
    began = time.monotonic()
    assert send(run.folder, "status", timeout=3)["ok"]
    assert send(run.folder, "hold", timeout=3)["ok"]
    assert send(run.folder, "go-on", timeout=3)["ok"]
    assert time.monotonic() - began < 3
    assert run.operator.call("report", run.name, expect=0).document["outcome"] == "running"


def cancelled(run: Run) -> None:
    """The operator cancels it, and it ends soon, whatever hangs."""
    began = time.monotonic()
    run.operator.call("cancel", run.name, "--yes", expect=0)
    assert time.monotonic() - began < 15
    assert run.state.outcome == "interrupted"


def kill_server(data_dir: Path, *, all_of_it: bool = True) -> None:
    """SIGKILL to a server, as the kernel does it that runs out of memory: to all its processes, or the postmaster."""
    pids = []
    with suppress(OSError, ValueError, IndexError):
        pids = [int((data_dir / "postmaster.pid").read_text().split()[0])]
    if all_of_it:
        pids += processes_below(data_dir)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process stands still for as long as the block lasts."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def start_run(operator: Operator, *words: str | Path, meanwhile: Callable[[], object] | None = None) -> Run:
    """Start a run in the background. ``meanwhile`` is done after the planning, while its engine stands still."""
    document = operator.ask("restore", *words, "--detach", "--yes", expect=0).document
    if meanwhile is not None:
        with stopped(document["pid"]):
            meanwhile()
    return Run(operator, document["run"])


def open_command(operator: Operator, *words: str | Path) -> "subprocess.Popen[bytes]":
    """A command of the operator's in the foreground of a terminal's session of its own."""
    return subprocess.Popen(
        operator.command(*words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=CHECKOUT,
        start_new_session=True,
        # a suite under nohup would hand its ignored hang-up down
        preexec_fn=partial(signal.signal, signal.SIGHUP, signal.SIG_DFL),
    )


def document_of(process: "subprocess.Popen[bytes]") -> dict[str, object]:
    """What a command says in the end."""
    out, err = process.communicate(timeout=120)
    assert b"Traceback" not in err, err
    document: dict[str, object] = json.loads(out)
    return document


def operator_with_repository(cluster: Cluster, home: Path, seen_at: Path | None = None) -> Operator:
    """An operator whose repository is a copy of the cluster's, in ``home / 'repository'``; links: to change a file of
    it, replace it (`replace_file`). His site file names the place at which it is seen, where that is another."""
    repository = home / "repository"
    repository.mkdir(exist_ok=True)
    for name, source in (("base", cluster.backups), ("wal", cluster.archive)):
        shutil.copytree(source, repository / name, copy_function=os.link)
    operator = operator_for(cluster, home)
    place = seen_at or repository
    text = operator.site.read_text()
    text = text.replace(f'"{cluster.backups}"', f'"{place}/base"').replace(f'"{cluster.archive}"', f'"{place}/wal"')
    operator.site.write_text(text)
    return operator


def replace_file(path: Path, data: bytes) -> None:
    """Other content under the same name and times: what no look at names, sizes or times can see."""
    status, new = path.stat(), path.with_name("." + path.name)
    new.write_bytes(data)
    os.chown(new, status.st_uid, status.st_gid)
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.rename(path)
