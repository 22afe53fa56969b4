"""Many files hashed: in the order asked, whatever is wrong with one of them, and never through a link."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.media.hashing import hash_files
from engine.media.walking import walk
from engine.postgres.processes import is_alive
from engine.records.errors import RunFailed, Unreachable


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "media"
    for number in range(200):
        folder = root / f"{number % 7}" / f"{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.bin").write_bytes(os.urandom(number * 37))
    return root


def paths_of(root: Path) -> list[bytes]:
    return [path for path, entry in walk(os.fsencode(root)) if entry.is_file(follow_symlinks=False)]


def test_every_file_in_the_order_asked_with_its_size_and_status(root: Path) -> None:
    paths = paths_of(root)
    odd = list(reversed(paths))
    for asked in (paths, odd):
        found = list(hash_files(os.fsencode(root), asked, processes=3))
        assert [each.path for each in found] == asked
        for each in found:
            place = root / os.fsdecode(each.path)
            assert each.sha256 == hashlib.sha256(place.read_bytes()).hexdigest()
            assert each.status is not None
            assert (each.size, each.status.mtime_ns, each.status.ino) == (
                place.stat().st_size,
                place.stat().st_mtime_ns,
                place.stat().st_ino,
            )


def test_a_large_file_is_read_to_its_end_and_heard_of(root: Path) -> None:
    content = os.urandom(1 << 20) * 5 + b"end"
    (root / "large").write_bytes(content)
    heard: list[int] = []
    (found,) = hash_files(os.fsencode(root), [b"large"], progress=heard.append)
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert sum(heard) == len(content)


def test_what_cannot_be_read_says_why_and_the_others_are_hashed(root: Path) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (root / "link-out").symlink_to(outside)
    (root / "link").symlink_to(root / "0/0/0.bin")
    os.mkfifo(root / "pipe")
    wrong = {
        b"absent": errno.ENOENT,
        b"absent/too": errno.ENOENT,
        b"0": errno.EISDIR,
        b"link": errno.ELOOP,
        b"link-out/secret": errno.ENOTDIR,
        b"../outside/secret": errno.EINVAL,
        b"0/../../outside/secret": errno.EINVAL,
        b"pipe": errno.EINVAL,
        b"0/0/0.bin/below": errno.ENOTDIR,
        b"n" * 300: errno.ENAMETOOLONG,
        b"zero\0byte": errno.EINVAL,
    }
    asked = [*wrong, b"0/0/0.bin"]
    found = {each.path: each for each in hash_files(os.fsencode(root), asked)}
    assert {path: found[path].errno for path in wrong} == wrong
    assert all(found[path].sha256 is None for path in wrong)
    assert found[b"0/0/0.bin"].sha256 == hashlib.sha256(b"").hexdigest()


def test_names_of_odd_bytes(root: Path) -> None:
    names = [b"new\nline", b"\xff\xfe", b"tab\t", b"x" * 255, b"-n", b"sp ace"]
    for name in names:
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_bytes(name)
    found = list(hash_files(os.fsencode(root), names))
    assert [each.sha256 for each in found] == [hashlib.sha256(name).hexdigest() for name in names]


def test_a_worker_that_is_killed_is_told_and_a_root_that_is_not_there(root: Path, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="absent"):
        list(hash_files(os.fsencode(tmp_path / "absent"), [b"a"]))
    files = hash_files(os.fsencode(root), (b"0/0/0.bin" for _ in range(1_000_000)), processes=1)
    next(files)
    (worker,) = children(os.getpid())
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(RunFailed):
        list(files)


def test_workers_end_with_their_caller_and_when_it_has_enough(root: Path) -> None:
    files = hash_files(os.fsencode(root), (b"0/0/0.bin" for _ in range(1_000_000)), processes=2)
    next(files)
    assert len(children(os.getpid())) == 2
    files.close()
    assert children(os.getpid()) == []
    program = (
        "import sys, time; from engine.media.hashing import hash_files\n"
        "files = hash_files(sys.argv[1].encode(), (b'0/0/0.bin' for _ in range(10**9)), processes=2)\n"
        "next(files); print(flush=True); time.sleep(60)"
    )
    caller = subprocess.Popen([sys.executable, "-c", program, str(root)], stdout=subprocess.PIPE)
    assert caller.stdout is not None
    caller.stdout.readline()
    workers = children(caller.pid)
    assert len(workers) == 2
    caller.kill()
    caller.communicate()
    deadline = time.monotonic() + 10
    while any(is_alive(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children(parent: int) -> list[int]:
    """Processes that this one started and that still are."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, above = status.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(above) == parent and state != "Z":
            found.append(int(status.parent.name))
    return found
