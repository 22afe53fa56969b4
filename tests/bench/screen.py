"""The screen: start to first paint against an empty Textual application, key to repaint, bytes sent, memory.

    python -m tests.bench screen [--quick] [--segments=100000] [--rounds=5] [--keys=200] [--megabytes=600]

Everything runs in a real pty. The archives of 100 and of very many segments are sparse but real: indexed by the real
reader before anything is measured. The order of the ways rotates, medians are compared. Times begin when the process
is started; "paint" is the first screen with words on it, "filled" the one that says what the cursor's moment means.
"""

import argparse
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psutil

from engine.acts import look, open_desk, read_archive
from tests.bench._segments import Template, read_template, write_archive
from tests.clusters import Cluster, kill_processes_below, make_cluster, wait_until
from tests.end_to_end.operator import Operator, operator_for
from tests.end_to_end.terminal import Terminal, terminal

PAINT_GOAL = 1.5  # times an empty Textual application
KEY_GOAL = 50.0  # ms, p95
IDLE_GOAL = 0.0  # bytes
RUN_GOAL = 1000.0  # bytes/s
FIRST_GOAL = 25_000.0  # bytes until the first moment is told
STEP_GOAL = 4096.0  # bytes, p95
MEMORY_GOAL = 80.0  # MB
FEW = 100
_SECONDS = 60  # between two segments
_STEPS = ("\x1b[D", "\x1b[C", "h", "l")
_QUIET = 0.15  # seconds without a byte: a repaint is over

_EMPTY = """
from textual.app import App
from textual.widgets import Static
class Empty(App):
    def compose(self):
        yield Static("READY")
Empty().run()
"""


def main(arguments: list[str]) -> None:
    options = argparse.ArgumentParser(prog="screen")
    options.add_argument("--quick", action="store_true", help="small numbers: shows that it works, not how fast")
    options.add_argument("--segments", type=int)
    options.add_argument("--rounds", type=int)
    options.add_argument("--keys", type=int)
    options.add_argument("--megabytes", type=int, help="of the database that is restored")
    given = options.parse_args(arguments)
    quick = given.quick
    segments = given.segments or (2_000 if quick else 100_000)
    folder = Path(tempfile.mkdtemp(prefix="rt-bench-", dir="/var/tmp"))
    folder.chmod(0o755)
    os.environ["REPRISE_TEST_ROOT"] = str(folder)
    # As an operator's Python does: without its own bytecode each start would compile this checkout, Textual's never.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers and files below go away
    try:
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        cluster = make_cluster("screen")
        template = _record(cluster, given.megabytes or (50 if quick else 600))
        few = _site(cluster, template, folder, FEW)
        many = _site(cluster, template, folder, segments)
        _starts({"empty": None, f"{FEW} segments": few, f"{segments} segments": many}, given.rounds or 5)
        _keys(many, given.keys or (40 if quick else 200), 10 if quick else 60)
        _restore(cluster, folder)
        print(f"load average {os.getloadavg()[0]:.1f}")
    finally:
        kill_processes_below(folder)
        shutil.rmtree(folder, ignore_errors=True)


# --- what is looked at ------------------------------------------------------------------------------------------------


def _record(cluster: Cluster, megabytes: int) -> Template:
    """A backup for the long archives and a small segment behind it; then bulk, and a backup of that, to restore."""
    cluster.sql("CREATE TABLE note (n int)")
    cluster.sql("INSERT INTO note VALUES (0)")
    cluster.base_backup("1-small")
    cluster.sql("INSERT INTO note VALUES (0)")  # its page image, before the template
    cluster.switch()
    for number in range(3):
        cluster.sql("INSERT INTO note VALUES (%s)", number)
    template = read_template(cluster.archive / cluster.switch())
    cluster.sql(
        f"CREATE TABLE bulk AS SELECT g, repeat(md5(g::text), 30) AS text FROM generate_series(1, {megabytes * 1000}) g"
    )
    cluster.base_backup("2-bulk")
    for _ in range(max(1, megabytes // 100)):
        cluster.sql("UPDATE note SET n = n + 1")
        cluster.sql("CREATE TABLE IF NOT EXISTS more (g int, text text)")
        cluster.sql("INSERT INTO more SELECT g, repeat(md5(g::text), 30) FROM generate_series(1, 20000) g")
    cluster.switch()
    cluster.stop()
    return template


def _site(cluster: Cluster, template: Template, folder: Path, count: int) -> Operator:
    """A site with an archive of ``count`` segments, indexed."""
    home = folder / f"site-{count}"
    archive = home / "wal"
    archive.mkdir(parents=True)
    began = time.perf_counter()
    write_archive(template, archive, count, seconds=_SECONDS, earlier=count * _SECONDS)
    for path in sorted(cluster.archive.iterdir()):  # from the backup's start to the template
        if len(path.name) == 24 and int(path.name[16:], 16) < template.number:
            shutil.copy2(path, archive)
    backups = home / "base"
    shutil.copytree(cluster.backups / "1-small", backups / "1-small")
    operator = operator_for(cluster, home)
    text = operator.site.read_text()
    operator.site.write_text(
        text.replace(str(cluster.archive), str(archive)).replace(str(cluster.backups), str(backups))
    )
    made = time.perf_counter() - began
    desk = open_desk(operator.site, home / "state")
    read_archive(desk)
    view = look(desk)
    known = sum(each.segments for each in view.catalog.wal_ranges)
    if known < count or view.catalog.gaps or not view.windows:
        raise SystemExit(f"{known} of {count} segments are good; {view.catalog.problems[:1]} {view.catalog.gaps[:1]}")
    took = time.perf_counter() - began - made
    print(f"{count} segments made in {made:.1f} s, read and indexed in {took:.1f} s, {len(view.windows)} windows")
    return operator


def _words(operator: Operator) -> list[str]:
    return ["-m", "tui", "--site", str(operator.site), "--state", str(operator.home / "state")]


def _megabytes(shown: Terminal) -> float:
    return float(psutil.Process(shown.pid).memory_info().rss / 1e6)


# --- measuring --------------------------------------------------------------------------------------------------------


def _starts(ways: dict[str, Operator | None], rounds: int) -> None:
    painted: dict[str, list[float]] = {way: [] for way in ways}
    filled: dict[str, list[float]] = {way: [] for way in ways}
    memory: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(-1, rounds):  # one round to warm up
        order = list(ways)
        first = turn % len(order)
        for way in order[first:] + order[:first]:
            operator = ways[way]
            words = ["-c", _EMPTY] if operator is None else _words(operator)
            began = time.perf_counter()
            with terminal(*words) as shown:
                shown.until("READY" if operator is None else "archive ")
                at_paint = time.perf_counter() - began
                if operator is not None:
                    shown.until("● REACHABLE")
                at_filled = time.perf_counter() - began
                shown.settle(1.0)
                if turn >= 0:
                    painted[way].append(at_paint)
                    filled[way].append(at_filled)
                    memory[way].append(_megabytes(shown))
    base = statistics.median(painted["empty"])
    for way in ways:
        paint, fill, size = (statistics.median(taken[way]) for taken in (painted, filled, memory))
        print(f"  {way:18} paint {paint * 1e3:5.0f} ms, filled {fill * 1e3:5.0f} ms, memory {size:4.0f} MB")
    for way in list(ways)[1:]:
        _judge(f"start to first paint, {way}, against empty", statistics.median(painted[way]) / base, PAINT_GOAL)
        _judge(f"start to filled, {way}, against empty", statistics.median(filled[way]) / base, None)
        _judge(f"memory, {way}, MB", statistics.median(memory[way]), MEMORY_GOAL)


def _keys(operator: Operator, count: int, idle: int) -> None:
    """Every key is waited for: first byte of the repaint, and the last one before it is quiet again."""
    firsts, lasts, steps = [], [], []
    with terminal(*_words(operator), columns=120, rows=40) as shown:
        shown.until("● REACHABLE")
        shown.settle(5.0)  # the archive is read behind the first moment; what it brings is shown
        _judge("bytes sent until the first moment is told", len(shown.sent), FIRST_GOAL)
        before = len(shown.sent)
        limit = time.monotonic() + idle
        while (left := limit - time.monotonic()) > 0:
            shown.read(left)
        _judge(f"bytes sent while idle in {idle} s", len(shown.sent) - before, IDLE_GOAL)
        keys = ["\x1b[D", "h", "\x1b[5~", "-", "\x1b[D", "+", "\x1b[C", "+", "l", "-"]
        for number in range(count):
            key = keys[number % len(keys)]
            before = len(shown.sent)
            began = time.perf_counter()
            shown.press(key)
            if not shown.read(2.0):
                continue  # the end of the axis: nothing to repaint
            firsts.append(time.perf_counter() - began)
            last = time.perf_counter()
            while shown.read(_QUIET):
                last = time.perf_counter()
            lasts.append(last - began)
            if key in _STEPS:
                steps.append(float(len(shown.sent) - before))
        _judge(f"memory after {count} keys, MB", _megabytes(shown), MEMORY_GOAL)
    print(f"  {len(firsts)} of {count} keys changed the screen")
    _judge("key to repaint, p95, ms", _p95(firsts) * 1e3, KEY_GOAL)
    _judge("bytes sent for a step of the cursor, p95", _p95(steps), STEP_GOAL)
    _judge("key to the last byte of what follows, p95, ms", _p95(lasts) * 1e3, None)


def _restore(cluster: Cluster, folder: Path) -> None:
    """A real restore watched at 120x40: from the run's first screen until it waits at its gate."""
    home = folder / "site-restore"
    home.mkdir()
    if os.geteuid() == 0:
        os.chown(home, cluster.user.uid, cluster.user.gid)
    operator = operator_for(replace(cluster), home)
    read_archive(open_desk(operator.site, home / "state"))
    with terminal(*_words(operator), columns=120, rows=40) as shown:
        shown.until("● REACHABLE")
        shown.settle()
        shown.press("\r")
        shown.until("Nothing is changed before Enter")
        shown.press("\r")
        shown.until("server log")
        shown.settle(0.1)
        began = until = time.perf_counter()
        before = sent = len(shown.sent)
        while "PAUSED AT THE TARGET" not in shown.text:
            if "FAILED" in shown.text or time.perf_counter() > began + 600:
                raise SystemExit(shown.text)
            if not shown.read(0.05):  # quiet between two repaints: the last such moment lies before the gate's picture
                until, sent = time.perf_counter(), len(shown.sent)
        took = until - began
        _judge(f"bytes per second during a restore of {took:.0f} s", (sent - before) / took, RUN_GOAL)
        print(f"  the gate's picture after it: {len(shown.sent) - sent} bytes")
        _judge("memory at the gate, MB", _megabytes(shown), MEMORY_GOAL)
        (run,) = operator.call("runs").document["runs"]
        operator.call("cancel", run["run"], "--yes")
        wait_until(lambda: operator.call("runs").document["runs"][0]["pid"] is None, "the run did not end")


def _p95(taken: list[float]) -> float:
    return sorted(taken)[int(0.95 * (len(taken) - 1))]


def _judge(what: str, value: float, goal: float | None) -> None:
    verdict = "" if goal is None else f"  (goal {goal:g}: {'met' if value <= goal else 'missed'})"
    print(f"  {what:58} {value:8.2f}{verdict}", flush=True)
