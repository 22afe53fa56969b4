"""The files screen on a snapshot of very many files: how long its listing takes, and key to repaint while it is made,
while it is looked through, and while a search runs.

    python -m tests.bench files_screen [--quick] [--files=1000000] [--keys=200]

Everything runs in a real pty, on a catalogue as a snapshot of ours has it: half of the files stand in one folder, the
others by day. The folder of the files themselves is empty: the screen reads the catalogue alone.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from engine.acts import list_files, open_desk
from engine.media.catalogue import CatalogueWriter, Entry, catalogue_of
from tests.bench.screen import KEY_GOAL, MEMORY_GOAL, _judge, _megabytes, _p95
from tests.end_to_end.terminal import Terminal, terminal

_MANY = 1_000_000
_NS = 1_700_000_000 * 10**9
_RARE, _SHORT = "no-such-name", "qq"  # the one asks the index, the other looks at every name
_QUIET = 0.15  # seconds without a byte: a repaint is over


def main(arguments: list[str]) -> None:
    options = argparse.ArgumentParser(prog="files_screen")
    options.add_argument("--quick", action="store_true", help="small numbers: shows that it works, not how fast")
    options.add_argument("--files", type=int)
    options.add_argument("--keys", type=int)
    given = options.parse_args(arguments)
    count = given.files or (20_000 if given.quick else _MANY)
    keys = given.keys or (40 if given.quick else 200)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = Path(tempfile.mkdtemp(prefix="rt-bench-", dir="/var/tmp"))
    try:
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        site = _site(folder, count)
        _listing(site, folder, count)
        _screen(site, folder, keys)
        print(f"load average {os.getloadavg()[0]:.1f}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- what is looked at ------------------------------------------------------------------------------------------------


def _entries(count: int) -> Iterator[Entry]:
    def file(path: bytes, number: int) -> Entry:
        return Entry("f", f"{number:064x}", 1000 + number % 9973, _NS + number * 10**9, 0o640, 1001, 1001, path)

    half = count // 2
    for number in range(half):
        year, month, day = 2000 + number // 36_000, number // 3000 % 12 + 1, number // 100 % 30 + 1
        yield file(b"day/%04d/%02d/%02d/invoice-%02d.pdf" % (year, month, day, number % 100), number)
    for number in range(half, count):
        yield file(b"flat/scan-%08d.tif" % number, number)


def _site(folder: Path, count: int) -> Path:
    for name in ("live", "base", "wal", "data", "copies/m1/day"):
        (folder / name).mkdir(parents=True)
    at = datetime(2026, 11, 23, 3, tzinfo=UTC)
    with catalogue_of(folder / "copies/m1").open("wb") as file:
        writer = CatalogueWriter(file, at)
        for entry in _entries(count):
            writer.add(entry)
        writer.close(at)
    note = {"started_at": at.isoformat(), "stopped_at": at.isoformat(), "files": count}
    (folder / "copies/m1.json").write_text(json.dumps(note))
    site = folder / "site.toml"
    site.write_text(f"""
[site]
name = "bench"
[database]
data_dir = "{folder}/data"
[[database.repository]]
kind = "directory"
base_backups = "{folder}/base"
wal = "{folder}/wal"
[media]
path = "{folder}/live"
[[media.repository]]
kind = "directory"
path = "{folder}/copies"
""")
    return site


# --- measuring --------------------------------------------------------------------------------------------------------


def _listing(site: Path, folder: Path, count: int) -> None:
    state = folder / "alone"
    began = time.perf_counter()
    listing = list_files(open_desk(site, state), "m1")
    took = time.perf_counter() - began
    if listing.root.files != count:
        raise SystemExit(f"{listing.root.files} of {count} files are listed")
    size = sum(path.stat().st_size for path in (state / "files").glob("*.sqlite")) / 1e6
    print(f"  listing of {count} files made in {took:.1f} s ({count / took:.0f} files/s), {size:.0f} MB")
    for text in (_RARE, _SHORT, "scan-00"):
        began = time.perf_counter()
        found = len(listing.search(text, listing.root, count=10_000))
        print(f"  search for {text!r}: {found} found in {time.perf_counter() - began:.2f} s")
    listing.close()
    shutil.rmtree(state)


def _screen(site: Path, folder: Path, count: int) -> None:
    words = ["-m", "tui", "--site", str(site), "--state", str(folder / "state")]
    with terminal(*words, columns=120, rows=40) as shown:
        shown.until("no WAL was found")
        shown.settle()
        shown.press("1")
        shown.until("what to do", "nothing is to be done")
        shown.settle()
        began = time.perf_counter()
        shown.press("f")
        _while_listed(shown)
        print(f"  listing made below the screen in {time.perf_counter() - began:.1f} s")
        shown.settle()
        _judge("memory after it, MB", _megabytes(shown), MEMORY_GOAL)
        before = len(shown.sent)
        shown.press("j\r")
        shown.until("scan-")
        shown.settle()
        print(f"  into the largest folder: {len(shown.sent) - before} bytes")
        moves = ["\x1b[B", "j", "\x1b[6~", "k", "G", "\x1b[5~", "g", "j", " ", "\x1b[A"]
        _judge("key to repaint, p95, ms", _p95(list(_times(shown, moves, count))) * 1e3, KEY_GOAL)
        _searching(shown, moves, count)
        _judge("memory at the end, MB", _megabytes(shown), MEMORY_GOAL)


def _while_listed(shown: Terminal) -> None:
    """A key that says that the listing is not there yet, as often as it says so."""
    taken = []
    while "day/" not in shown.text:
        if (one := _until(shown, "d", b"still")) is not None:
            taken.append(one)
        shown.press("u")  # no key of the screen: the note goes
        shown.settle(0.03)
        if len(taken) > 2000:
            raise SystemExit(shown.text)
    if taken:
        _judge(f"key to repaint while it is made ({len(taken)} keys), p95, ms", _p95(taken) * 1e3, KEY_GOAL)
        _judge("the slowest, ms", max(taken) * 1e3, None)


def _until(shown: Terminal, key: str, wanted: bytes) -> float | None:
    """Seconds until the program sent this; None where the listing is there before."""
    before, began = len(shown.sent), time.perf_counter()
    shown.press(key)
    while wanted not in shown.sent[before:]:
        shown.read(0.05)
        if "day/" in shown.text or time.perf_counter() > began + 20:
            return None
    return time.perf_counter() - began


def _times(shown: Terminal, keys: list[str], count: int) -> Iterator[float]:
    """Seconds from each key to the first byte of its repaint."""
    for number in range(count):
        began = time.perf_counter()
        shown.press(keys[number % len(keys)])
        if shown.read(2.0):
            yield time.perf_counter() - began
            while shown.read(_QUIET):
                pass


def _searching(shown: Terminal, keys: list[str], count: int) -> None:
    """Searches one after the other, and keys while each of them runs."""
    taken: list[float] = []
    rounds = 0
    while len(taken) < count and rounds < count:
        rounds += 1
        shown.press("/")
        shown.until("part of a name")
        shown.settle(0.05)
        shown.press(_SHORT)
        shown.settle(0.05)
        shown.press("\r")
        for key in keys:
            if "names with" in shown.text:
                break
            before = "searching" in shown.text
            began = time.perf_counter()
            shown.press(key)
            if shown.read(2.0) and not before:  # the first one only clears the note
                taken.append(time.perf_counter() - began)
            while shown.read(0.03):
                pass
        shown.until("names with")
        shown.press("\x7f")
        shown.until("scan-")
        shown.settle(0.05)
    if taken:
        what = f"key to repaint while a search runs ({len(taken)} keys, {rounds} searches), p95, ms"
        _judge(what, _p95(taken) * 1e3, KEY_GOAL)
        _judge("the slowest, ms", max(taken) * 1e3, None)
