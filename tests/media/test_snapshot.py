"""Snapshots of the users' files: exactly what was there, shared with the one before, never with the live folder."""

import errno
import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.media.catalogue import Entry, catalogue_of, open_catalogue
from engine.media.snapshot import take_snapshot
from engine.records.errors import DamagedCopy, Unreachable

ODD = [
    b"plain.txt",
    b"with\nnewline",
    b"tab\there",
    b"back\\slash",
    b"\xff\xfe not utf-8",
    b"x" * 255,
    b" ",
    b"-rf",
    b"a-b",
]


def entries_of(snapshot: Path) -> list[Entry]:
    with open_catalogue(catalogue_of(snapshot)) as catalogue:
        found = list(catalogue)
        assert catalogue.interval is not None and catalogue.interval[0] <= catalogue.interval[1]
        return found


def tree(root: Path) -> dict[bytes, tuple[object, ...]]:
    """All that a snapshot must have: kind, mode, time, content or target."""
    found: dict[bytes, tuple[object, ...]] = {}
    for place, folders, files in os.walk(os.fsencode(root)):
        for name in (*folders, *files):
            path = os.path.join(place, name)  # noqa: PTH118
            status = os.lstat(path)
            what: object = None
            if stat.S_ISLNK(status.st_mode):
                what = os.readlink(path)  # noqa: PTH115
            elif stat.S_ISREG(status.st_mode):
                what = Path(os.fsdecode(path)).read_bytes()
            time = status.st_mtime_ns
            found[os.path.relpath(path, os.fsencode(root))] = (stat.S_IMODE(status.st_mode), time, what)
    return found


def check_against(live: dict[bytes, tuple[object, ...]], snapshot: Path) -> None:
    assert tree(snapshot) == live
    listed = {entry.path: entry for entry in entries_of(snapshot)}
    assert listed.keys() == live.keys()
    for path, (mode, time, what) in live.items():
        entry = listed[path]
        assert (entry.mode, entry.mtime_ns) == (mode, time)
        if entry.kind == "f":
            assert isinstance(what, bytes)
            assert (entry.sha256, entry.size) == (hashlib.sha256(what).hexdigest(), len(what))
        if entry.kind == "l":
            assert entry.target == what


def test_names_of_any_bytes_links_holes_and_modes_come_through_exactly(tmp_path: Path) -> None:
    live = tmp_path / "live"
    (live / "2026" / "11" / "27").mkdir(parents=True)
    for number, name in enumerate(ODD):
        path = Path(os.fsdecode(os.fsencode(live / "2026" / "11") + b"/" + name))
        path.write_bytes(b"x" * number)
        path.chmod(0o600 | number)
    with (live / "holes").open("wb") as file:
        file.write(b"begin")
        file.seek(8 << 20)
        file.write(b"end")
        file.truncate(16 << 20)
    (live / "outside").symlink_to("../../../etc/passwd")
    (live / "nowhere").symlink_to("/does/not/exist")
    (live / "empty").mkdir(mode=0o750)
    os.mkfifo(live / "pipe")
    taken = take_snapshot(live, tmp_path / "s1", None)
    assert [finding for finding in taken.findings if "pipe" in finding]
    os.unlink(live / "pipe")  # noqa: PTH108
    check_against(tree(live), tmp_path / "s1")
    assert (tmp_path / "s1" / "holes").stat().st_blocks * 512 < 1 << 20


def test_unchanged_files_are_shared_with_the_snapshot_before_and_never_with_the_live_folder(tmp_path: Path) -> None:
    live = tmp_path / "live"
    live.mkdir()
    for name in ("same", "changed", "touched", "gone"):
        (live / name).write_text(name)
    take_snapshot(live, tmp_path / "s1", None)
    (live / "changed").write_text("other!!")
    os.utime(live / "touched", ns=(1, 1))
    (live / "gone").unlink()
    (live / "new").write_text("new")
    taken = take_snapshot(live, tmp_path / "s2", tmp_path / "s1")
    check_against(tree(live), tmp_path / "s2")
    assert (taken.shared, taken.copied) == (1, 3)
    inode = {place: (tmp_path / place / "same").stat().st_ino for place in ("live", "s1", "s2")}
    assert inode["s1"] == inode["s2"] != inode["live"]
    assert (tmp_path / "s1" / "gone").read_text() == "gone"


_NAMES = st.sampled_from(["a", "a-b", "b", "b.c"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)
_CHANGES = st.lists(
    st.tuples(st.sampled_from(["write", "delete", "rename", "chmod", "link"]), _PATHS, _PATHS, st.binary(max_size=9)),
    max_size=12,
)


def change(live: Path, act: str, path: str, other: str, content: bytes) -> None:
    """One change; what cannot be (a file where a folder is wanted) is left."""
    place = live / path
    try:
        if act == "write":
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        elif act == "delete":
            place.unlink()
        elif act == "rename":
            (live / other).parent.mkdir(parents=True, exist_ok=True)
            place.rename(live / other)
        elif act == "chmod":
            place.chmod(0o640)
        elif act == "link":
            place.symlink_to(other)
    except OSError as error:
        assert error.errno in (
            errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.EINVAL, errno.ELOOP,
            errno.EPERM,
        )  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_CHANGES, min_size=1, max_size=4))
def test_whatever_happens_between_them_each_snapshot_is_the_folder_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[tuple[str, str, str, bytes]]]
) -> None:
    root = tmp_path_factory.mktemp("history")
    live, before, kept = root / "live", None, []
    live.mkdir()
    for number, changes in enumerate(rounds):
        for each in changes:
            change(live, *each)
        take_snapshot(live, root / f"s{number}", before)
        before = root / f"s{number}"
        kept.append((tree(live), before))
    for was, snapshot in kept:
        check_against(was, snapshot)


@pytest.mark.parametrize("cut", [0, 10, -30, -1])
def test_a_catalogue_that_is_cut_off_is_none_and_the_next_snapshot_reads_everything_anew(
    tmp_path: Path, cut: int
) -> None:
    live = tmp_path / "live"
    live.mkdir()
    (live / "file").write_text("content")
    take_snapshot(live, tmp_path / "s1", None)
    book = catalogue_of(tmp_path / "s1")
    book.write_bytes(book.read_bytes()[:cut])
    with pytest.raises(DamagedCopy):
        entries_of(tmp_path / "s1")
    take_snapshot(live, tmp_path / "s2", tmp_path / "s1")
    check_against(tree(live), tmp_path / "s2")


@given(st.binary(max_size=200), st.integers(0, 400))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_of_a_catalogue_makes_its_reader_fail_with_anything_but_a_damaged_copy(
    tmp_path: Path, noise: bytes, at: int
) -> None:
    live = tmp_path / "live"
    if not live.exists():
        live.mkdir()
        (live / "file").write_text("content")
        take_snapshot(live, tmp_path / "s1", None)
    whole = catalogue_of(tmp_path / "s1").read_bytes()
    broken = tmp_path / "broken"
    catalogue_of(broken).write_bytes(whole[:at] + noise + whole[at + len(noise) :])
    with suppress(DamagedCopy):
        entries_of(broken)


def test_a_file_that_may_not_be_read_ends_the_snapshot_and_is_named(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "secret").write_text("x")
    (tmp_path / "live" / "secret").chmod(0)
    with pytest.raises(Unreachable, match="secret"):
        take_snapshot(tmp_path / "live", tmp_path / "s1", None)
