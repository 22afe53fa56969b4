"""Snapshots of other programs: what they hold, and files out of them, made and read by the real programs."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.catalog.media import read_media
from engine.media import restic
from engine.media.catalogue import Entry
from engine.media.differing import differences, live_entries
from engine.media.programs import program_of
from engine.media.sources import SnapshotFiles, open_snapshot
from engine.records.copies import MediaSnapshot
from engine.records.errors import DamagedCopy, RepriseError, Unreachable
from engine.site import MediaRepository
from tests.media.foreign import CONTENTS, borg_of, damage, entries_of, fetched, make_media, needs, restic_of, run


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_media(tmp_path_factory.mktemp("live") / "media")


@pytest.fixture(scope="module")
def restic_repository(media: Path, tmp_path_factory: pytest.TempPathFactory) -> MediaRepository:
    needs("restic")
    return restic_of(media, tmp_path_factory.mktemp("restic"))


@pytest.fixture(scope="module")
def borg_repository(media: Path, tmp_path_factory: pytest.TempPathFactory) -> MediaRepository:
    needs("borg")
    return borg_of(media, tmp_path_factory.mktemp("borg"))


@pytest.fixture(scope="module")
def rsync_repository(media: Path, tmp_path_factory: pytest.TempPathFactory) -> MediaRepository:
    place = tmp_path_factory.mktemp("dated")
    run("rsync", "-a", f"{media}/", f"{place}/2026-11-23_0400/")
    return MediaRepository("rsync", str(place))


@pytest.fixture(params=["restic", "borg", "rsync"])
def repository(request: pytest.FixtureRequest) -> MediaRepository:
    found: MediaRepository = request.getfixturevalue(f"{request.param}_repository")
    return found


def _only(repository: MediaRepository, media: Path) -> tuple[MediaSnapshot, SnapshotFiles]:
    found = read_media(repository, repository.path, media_path=str(media))
    assert found.problems == [] and found.answers
    (snapshot,) = found.snapshots
    assert snapshot.usable and snapshot.dated and snapshot.repository == repository.path
    return snapshot, open_snapshot(snapshot, repository, str(media))


def _read_a_little(snapshot: MediaSnapshot, repository: MediaRepository, media: Path) -> None:
    """Names that have to be looked up cost restic half a second each: there are none in here."""
    assert entries_of(open_snapshot(snapshot, replace(repository, inside=f"{media}/2026"), str(media)), hashes=False)


def _as_it_is(media: Path) -> Iterator[Entry]:
    with open_snapshot(MediaSnapshot("x", "x", media, *2 * (NOW,)), MediaRepository("rsync", "x"), "").entries() as all:
        yield from all


NOW = datetime.now(UTC)


def test_every_entry_of_the_folder_is_listed_as_it_is(repository: MediaRepository, media: Path) -> None:
    _, files = _only(repository, media)
    found = entries_of(files)
    assert [each.key for each in found] == sorted(each.key for each in found)
    wanted = list(_as_it_is(media))
    if repository.kind == "borg":  # microseconds, more or less
        assert all(abs(a.mtime_ns - b.mtime_ns) <= 1000 for a, b in zip(found, wanted, strict=True))
        found, wanted = ([each._replace(mtime_ns=0) for each in all] for all in (found, wanted))
        for each in found:
            if each.kind == "f":
                assert each.sha256 == hashlib.sha256(_content(media, each.path)).hexdigest()
        assert all(each.sha256 is None for each in entries_of(files, hashes=False))
        found = [each._replace(sha256=None) for each in found]
    if repository.kind == "rsync":  # it is content with the seconds of folders and links
        found, wanted = (
            [each._replace(mtime_ns=0) if each.kind != "f" else each for each in all] for all in (found, wanted)
        )
    if repository.kind == "restic":  # before 0.16.3 it did not keep where such a link leads
        found, wanted = ([each for each in all if each.path != b"odd link"] for all in (found, wanted))
    assert found == wanted


def _content(media: Path, path: bytes) -> bytes:
    return Path(os.fsdecode(bytes(media) + b"/" + path)).read_bytes()


@pytest.mark.parametrize("by_name", [500, 3])
def test_files_are_fetched_under_their_own_paths(
    repository: MediaRepository, media: Path, tmp_path: Path, by_name: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, files = _only(repository, media)
    if files.root is not None:
        assert {name: _content(Path(os.fsdecode(files.root)), name) for name in CONTENTS} == CONTENTS
        return
    monkeypatch.setattr(restic, "_PATTERNS", by_name)
    monkeypatch.setattr("engine.media.borg._BY_NAME", by_name)
    wanted = {name: _content(media, name) for name in [*CONTENTS, b"sparse", b"again"] if name != b"what?"}
    found = fetched(files, tmp_path / "a", [*wanted, b"not there", b"link"])
    assert found == wanted
    assert os.listxattr(tmp_path / "a" / "into" / "empty file") == os.listxattr(media / "empty file")
    if repository.kind == "restic" and by_name == 3:  # else it is the program's to make holes
        sparse = (tmp_path / "a" / "into" / "sparse").stat()
        assert sparse.st_blocks * 512 < sparse.st_size


def test_a_borg_archive_of_the_folder_itself_is_looked_into_at_its_top(tmp_path: Path) -> None:
    needs("borg")
    media = tmp_path / "media"
    (media / "2026").mkdir(parents=True)
    (media / "2026" / "a.pdf").write_bytes(b"a")
    repository = borg_of(Path(), tmp_path, cwd=media, inside=".")
    _, files = _only(repository, media)
    assert [each.path for each in entries_of(files)] == [b"2026", b"2026/a.pdf"]
    assert fetched(files, tmp_path / "fetched", [b"2026/a.pdf"]) == {b"2026/a.pdf": b"a"}
    assert list(differences(entries_of(files), live_entries(bytes(media)), files.resolution)) == []


def test_one_linked_file_alone_has_its_content(borg_repository: MediaRepository, media: Path, tmp_path: Path) -> None:
    _, files = _only(borg_repository, media)
    for name in (b"again", b"sparse"):
        assert fetched(files, tmp_path / os.fsdecode(name), [name]) == {name: _content(media, name)}


def test_a_linked_file_whose_first_name_lies_elsewhere_keeps_its_size_and_hash(tmp_path: Path) -> None:
    needs("borg")
    for name in ("a", "b"):
        (tmp_path / "live" / name).mkdir(parents=True)
    (tmp_path / "live" / "a" / "first").write_bytes(b"content")
    (tmp_path / "live" / "b" / "second").hardlink_to(tmp_path / "live" / "a" / "first")
    repository = borg_of(tmp_path / "live", tmp_path)
    for name, file in (("a", b"first"), ("b", b"second")):
        _, files = _only(repository, tmp_path / "live" / name)
        (entry,) = entries_of(files)
        assert (entry.path, entry.size, entry.sha256) == (file, 7, hashlib.sha256(b"content").hexdigest())


def test_a_media_folder_that_is_not_in_a_snapshot_is_one_clear_error(repository: MediaRepository, media: Path) -> None:
    snapshot, _ = _only(repository, media)
    place = MediaRepository(
        repository.kind, repository.path, inside="/else/where", password_file=repository.password_file
    )
    with pytest.raises(DamagedCopy, match="does not hold") as problem:
        entries_of(open_snapshot(snapshot, place, str(media)))
    assert "inside = " in (problem.value.remedy or "")
    if repository.kind == "restic":
        found = read_media(repository, repository.path, media_path="/else/where")
        assert [(each.usable, each.reason) for each in found.snapshots] == [(False, "it does not hold /else/where")]


def test_the_media_folder_may_stand_elsewhere_in_a_snapshot(repository: MediaRepository, media: Path) -> None:
    snapshot, _ = _only(repository, media)
    inside = "2026" if repository.kind == "rsync" else f"{media}/2026"
    place = MediaRepository(repository.kind, repository.path, inside=inside, password_file=repository.password_file)
    found = entries_of(open_snapshot(snapshot, place, "/srv/media"), hashes=False)
    assert [each.path for each in found] == [b"11", b"11/a.pdf", b"11-b", b"11-b/q", b"11.x", b"11.x/q"]


def test_a_wrong_password_is_told_and_shown_nowhere(repository: MediaRepository, media: Path, tmp_path: Path) -> None:
    if repository.kind == "rsync":
        return
    seen = tmp_path / "seen"
    command = f"cat /proc/*/cmdline /proc/*/environ 2>/dev/null | tr '\\0' '\\n' >> {seen}; echo wrong-$((20+3))"
    place = MediaRepository(repository.kind, repository.path, password_command=command)
    found = read_media(place, place.path, media_path=str(media), cache=tmp_path / "cache")
    assert found.snapshots == []
    assert "wrong password" in found.problems[0].what and "password_command" in (found.problems[0].remedy or "")
    told = "".join(each.read_text() for each in (tmp_path / "cache").iterdir()) + str(found)
    assert "wrong-23" not in told and "cmdline" not in told


def test_the_password_stands_in_no_command_line_and_no_environment(
    repository: MediaRepository, media: Path, tmp_path: Path
) -> None:
    if repository.kind == "rsync":
        return
    spy = tmp_path / repository.kind
    real = program_of(repository)
    spy.write_text(f'#!/bin/sh\n(env; echo "$@") >> {tmp_path}/seen\nexec {real} "$@"\n')
    spy.chmod(0o755)
    place = MediaRepository(repository.kind, repository.path, program=str(spy), password_command="echo correct horse")
    _read_a_little(read_media(place, place.path, media_path=str(media)).snapshots[0], place, media)
    seen = (tmp_path / "seen").read_text()
    assert repository.path in seen and "correct horse" not in seen


@pytest.mark.parametrize("command", ["exit 3", "true"])
def test_a_password_that_does_not_come_is_a_problem(tmp_path: Path, command: str) -> None:
    needs("restic")
    place = MediaRepository("restic", str(tmp_path), password_command=command)
    (problem,) = read_media(place, place.path).problems
    assert "password" in problem.what and "exit 3" not in problem.what and problem.remedy


@pytest.mark.parametrize("kind", ["restic", "borg"])
def test_a_missing_program_is_a_problem_with_a_remedy(tmp_path: Path, kind: str) -> None:
    place = MediaRepository(kind, str(tmp_path), program="/nonexistent/program")  # type: ignore[arg-type]
    found = read_media(place, place.path)
    assert "is not installed" in found.problems[0].what and "apt-get install" in (found.problems[0].remedy or "")


@pytest.mark.parametrize(
    ("kind", "says", "well"),
    [("restic", "restic 0.13.1 compiled", False), ("restic", "restic 0.19.1 compiled", True),
     ("borg", "borg 1.1.17", False), ("borg", "borg 1.4.1", True), ("borg", "borg 2.0.0b19", False),
     ("borg", "", False)],
)  # fmt: skip
def test_a_program_that_is_too_old_or_too_new_is_a_problem(tmp_path: Path, kind: str, says: str, well: bool) -> None:
    program = tmp_path / kind
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    place = MediaRepository(kind, str(tmp_path), program=str(program))  # type: ignore[arg-type]
    if well:
        assert program_of(place) == str(program)
    else:
        with pytest.raises(RepriseError, match=f"{program} is "):
            program_of(place)


def test_a_locked_borg_repository_is_told_and_keeps_what_it_had(media: Path, tmp_path: Path) -> None:
    needs("borg")
    repository = borg_of(media, tmp_path)
    _only(repository, media)
    cache = tmp_path / "cache"
    assert len(read_media(repository, "r", media_path=str(media), cache=cache).snapshots) == 1
    (tmp_path / "borg" / "index.999").touch()  # something was added: it is asked again
    (tmp_path / "borg" / "lock.exclusive").mkdir()
    (tmp_path / "borg" / "lock.exclusive" / "elsewhere@1.2-3").touch()
    found = read_media(repository, "r", media_path=str(media), cache=cache)
    assert [each.id for each in found.snapshots] == ["first"]
    assert "is locked" in found.problems[0].what and "break-lock" in (found.problems[0].remedy or "")
    snapshot = found.snapshots[0]
    (tmp_path / "borg" / "index.999").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.media.borg._WAIT", 0)
        with pytest.raises(Unreachable, match="is locked"):
            _read_a_little(snapshot, repository, media)


def test_a_locked_restic_repository_is_read_all_the_same(media: Path, tmp_path: Path) -> None:
    needs("restic")
    repository = restic_of(media, tmp_path)
    before = sorted(str(each) for each in (tmp_path / "restic").rglob("*"))
    lock = tmp_path / "restic" / "locks" / ("0" * 64)
    lock.write_bytes(b"not even a lock")
    _read_a_little(_only(repository, media)[0], repository, media)
    lock.unlink()
    assert sorted(str(each) for each in (tmp_path / "restic").rglob("*")) == before


def test_nothing_is_left_behind_and_no_cache_is_written(
    repository: MediaRepository, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(
        "engine.media.programs.clean_environment",
        lambda user=None: {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(home)},
    )
    snapshot, files = _only(repository, media)
    if files.root is None:
        _read_a_little(snapshot, repository, media)
    assert list(home.rglob("*")) == [] and list((tmp_path / "tmp").iterdir()) == []


def test_the_program_is_not_started_at_every_look(repository: MediaRepository, media: Path, tmp_path: Path) -> None:
    if repository.kind == "rsync":
        return
    cache = tmp_path / "cache"
    first = read_media(repository, "r", media_path=str(media), cache=cache)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.media.programs.subprocess.Popen", None)
        started = time.monotonic()
        assert read_media(repository, "r", media_path=str(media), cache=cache) == first
        assert time.monotonic() - started < 1


def test_a_new_snapshot_is_seen_at_the_next_look(media: Path, tmp_path: Path) -> None:
    needs("restic")
    repository, cache = restic_of(media, tmp_path), tmp_path / "cache"
    assert len(read_media(repository, "r", media_path=str(media), cache=cache).snapshots) == 1
    run("restic", "--no-cache", "-r", repository.path, "backup", str(media))
    found = read_media(repository, "r", media_path=str(media), cache=cache).snapshots
    assert len(found) == 2 and found[0].started_at <= found[0].stopped_at <= found[1].started_at


def test_a_repository_that_is_away_is_a_problem(repository: MediaRepository, media: Path, tmp_path: Path) -> None:
    place = MediaRepository(repository.kind, str(tmp_path / "away"), password_file=repository.password_file)
    found = read_media(place, place.path, media_path=str(media))
    assert not found.answers and found.snapshots == [] and found.problems[0].remedy
    (tmp_path / "away").mkdir()
    found = read_media(place, place.path, media_path=str(media))
    if repository.kind != "rsync":
        assert f"there is no {repository.kind} repository" in found.problems[0].what


def test_a_damaged_piece_costs_the_files_that_it_belongs_to_and_no_other(tmp_path: Path) -> None:
    needs("restic")
    live = tmp_path / "live"
    live.mkdir()
    (live / "bad").write_bytes(os.urandom(8 << 20))
    for number in range(20):
        (live / f"z{number:02}").write_bytes(b"good %d" % number)
    repository = restic_of(live, tmp_path)
    _, files = _only(repository, live)
    pack = max((tmp_path / "restic" / "data").rglob("*"), key=lambda each: each.stat().st_size)
    pack.chmod(0o600)
    with pack.open("r+b") as file:
        file.seek(1000)
        file.write(b"damage")
    names = [b"bad", *(b"z%02d" % number for number in range(20))]
    for place, patterns in (("few", 500), ("many", 3)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(restic, "_PATTERNS", patterns)
            into = tmp_path / place
            with pytest.raises(RepriseError, match="restic failed"):
                fetched(files, into, names)
            assert sorted(each.name for each in (into / "into").iterdir()) == [f"z{number:02}" for number in range(20)]


def test_a_damaged_piece_of_a_borg_repository_costs_its_files_and_leaves_no_half_one(tmp_path: Path) -> None:
    needs("borg")
    live = tmp_path / "live"
    live.mkdir()
    good = {b"a": b"good", b"m": b"good too", b"z": b"and good"}
    for name, content in good.items():
        (live / os.fsdecode(name)).write_bytes(content)
    for name in ("bad", "wrong"):
        (live / name).write_bytes(os.urandom(8 << 20))
    repository = borg_of(live, tmp_path, encryption="none")
    _, files = _only(repository, live)
    whole = entries_of(files)
    for name in ("bad", "wrong"):
        damage(tmp_path / "borg" / "data", (live / name).read_bytes())
    found = entries_of(files)
    assert [each._replace(sha256=None) for each in found] == [each._replace(sha256=None) for each in whole]
    assert {each.path: each.sha256 for each in found}[b"a"] == hashlib.sha256(b"good").hexdigest()
    with pytest.raises(DamagedCopy) as told:
        fetched(files, tmp_path / "out", [b"bad", b"wrong", *good])
    assert "ntegrity" in str(told.value.cause) and "Traceback" not in str(told.value.cause)
    into = tmp_path / "out" / "into"
    assert {os.fsencode(each.name): each.read_bytes() for each in into.iterdir()} == good


def test_a_program_dies_with_the_one_that_fetches(media: Path, tmp_path: Path) -> None:
    program = tmp_path / "restic"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = version ] && echo restic 0.14.0 && exit\necho $$ > {tmp_path}/pid\nexec sleep 60\n'
    )
    program.chmod(0o755)
    (tmp_path / "list").write_bytes(b"a\0")
    (tmp_path / "into").mkdir()
    script = f"""
from pathlib import Path
from datetime import UTC, datetime
from engine.media.sources import open_snapshot
from engine.records.copies import MediaSnapshot
from engine.site import MediaRepository
now = datetime.now(UTC)
place = Path({str(tmp_path)!r})
snapshot = MediaSnapshot("x", "r", place / ("0" * 64), now, now)
files = open_snapshot(snapshot, MediaRepository("restic", "r", program=str(place / "restic")), "/media")
files.fetch(place / "list", place / "into", lambda files, bytes: None)
"""
    child = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    pid = _soon(lambda: int((tmp_path / "pid").read_text()))
    child.send_signal(signal.SIGKILL)
    child.wait()
    _soon(lambda: None if Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() else 1)


def _soon(look: Callable[[], int | None]) -> int:
    for _ in range(200):
        try:
            if (found := look()) is not None:
                return found
        except (OSError, ValueError):
            pass
        time.sleep(0.05)
    raise AssertionError("it did not come")


def test_a_program_that_says_nothing_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "restic"
    program.write_text('#!/bin/sh\n[ "$1" = version ] && echo restic 0.14.0 && exit\nexec sleep 60\n')
    program.chmod(0o755)
    monkeypatch.setattr(restic, "LISTING_SECONDS", 0.5)
    found = read_media(MediaRepository("restic", str(tmp_path), program=str(program)), "r")
    assert not found.answers and "said nothing for 0.5 seconds" in found.problems[0].what
