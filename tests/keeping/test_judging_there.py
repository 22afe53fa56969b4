"""What expire takes away at a second place, and what it never may. A real sshd on loopback."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.acts.desk import Desk, open_desk
from engine.acts.keeping import expire
from engine.acts.second_places import push_all
from engine.records.errors import RepriseError
from engine.remote.sent import Memory
from engine.run.locks import second_lock, take_lock
from tests.keeping.places import dump, make_places, names, snapshot
from tests.remote.sshd import running_sshd


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A site's home with two dumps and three snapshots, of which the newest one of each is kept, all of them pushed to
    ``vault`` in it; and another folder with the same."""
    home = tmp_path_factory.mktemp("home")
    with running_sshd(tmp_path_factory.mktemp("sshd")) as sshd, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RSYNC_RSH", sshd.rsh)
        make_places(home, sshd.place(home / "vault"))
        for days in (3, 4):
            dump(home, f"d{days}", days)
        for days in (3, 4, 5):
            snapshot(home, f"m{days}", days)
        push(open_desk(home / "site.toml", home / "state"))
        yield home, shutil.copytree(home, tmp_path_factory.mktemp("saved") / "home", symlinks=True)


@pytest.fixture
def home(pushed: tuple[Path, Path]) -> Path:
    home, saved = pushed
    subprocess.run(["chmod", "-R", "u+rwx", home], check=True)
    shutil.rmtree(home)
    shutil.copytree(saved, home, symlinks=True)
    return home


@pytest.fixture
def desk(home: Path) -> Desk:
    return open_desk(home / "site.toml", home / "state")


def push(desk: Desk) -> None:
    push_all(desk, progress=lambda name, done: None)


def media_there(root: Path) -> list[str]:
    return [name for name in names(root / "vault" / "media") if not name.endswith((".json", ".zst"))]


def going(desk: Desk) -> set[tuple[str, str | None]]:
    """What would go, with the end of its place."""
    listed = expire(desk).leaving
    return {(each.verdict.id, (each.verdict.place or "").rpartition("/")[2]) for each in listed}


def test_what_goes_here_goes_there_too_with_what_stands_beside_it_and_what_is_not_ours_stays(
    desk: Desk, home: Path
) -> None:
    vault = home / "vault"
    for stranger in (vault / "media" / "m9", vault / "media" / "m5.copy", vault / "dumps" / "d9"):
        stranger.mkdir()
    listed = expire(desk)
    wanted = {("d4", ""), ("m4", ""), ("m5", ""), ("d4", "vault"), ("m4", "media"), ("m5", "media")}
    assert going(desk) == wanted
    assert all(each.bytes > 0 for each in listed.leaving)
    assert {each.id for each in listed.staying if each.place is not None} == {"d3", "m3"}
    assert media_there(home) == ["m3", "m4", "m5", "m5.copy", "m9"]
    assert expire(desk, apply=True).leaving == listed.leaving
    assert media_there(home) == ["m3", "m5.copy", "m9"]
    assert names(vault / "media") == ["m3", "m3.catalogue.zst", "m3.json", "m5.copy", "m9"]
    assert names(vault / "dumps") == ["d3", "d9"]
    assert names(home / "media") == ["m3", "m3.catalogue.zst", "m3.json"]
    assert expire(desk, apply=True).leaving == ()
    push(desk)


def test_what_the_first_place_lost_counts_there_and_what_it_keeps_stays_there(desk: Desk, home: Path) -> None:
    expire(desk)  # what they are is remembered while they are there
    shutil.rmtree(home / "media" / "m3")
    assert {each for each in going(desk) if each[0].startswith("m")} == {("m5", ""), ("m5", "media")}
    expire(desk, apply=True)
    assert media_there(home) == ["m3", "m4"]


@pytest.mark.parametrize("lost", ["emptied", "gone", "unknown"])
def test_nothing_goes_there_when_the_first_place_keeps_none_or_nobody_knows_what_they_are(
    desk: Desk, home: Path, lost: str
) -> None:
    if lost != "unknown":
        expire(desk)
    shutil.rmtree(home / "media")
    if lost != "gone":
        (home / "media").mkdir()
    if lost == "unknown":
        snapshot(home, "m2", 2)
    expiry = expire(desk, apply=True)
    assert not [each for each in expiry.leaving if each.verdict.kind == "media"]
    assert lost == "unknown" or any("media" in finding for finding in expiry.findings)
    assert media_there(home) == ["m3", "m4", "m5"]


def test_a_dump_of_a_database_that_the_first_place_has_no_dump_of_stays_there(desk: Desk, home: Path) -> None:
    expire(desk)
    shutil.rmtree(home / "dumps")
    (home / "dumps").mkdir()
    for days in (2, 6):
        note = dump(home, f"d{days}", days) / "dump.json"
        note.write_text(note.read_text().replace('"docs"', '"other"'))
    assert {each for each in going(desk) if each[0].startswith("d")} == {("d6", "")}


@pytest.mark.parametrize("why", ["away", "emptied", "pushed to"])
def test_a_second_place_that_cannot_be_judged_keeps_all_and_the_first_is_judged_alone(
    desk: Desk, home: Path, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = home / "vault" / "media"
    lock = None
    if why == "away":
        vault.rename(home / "elsewhere")
    elif why == "emptied":  # its file system is not mounted there
        vault.rename(home / "elsewhere")
        vault.mkdir()
    else:
        place = desk.site.media.repository[0].second if desk.site.media else None
        lock = take_lock(second_lock(desk.state, place or ""), "push", "")
        with pytest.raises(RepriseError, match="somebody works on"):
            push(desk)
    expiry = expire(desk, apply=True)
    if lock is not None:
        lock.release()
    assert {each.verdict.id for each in expiry.leaving if each.verdict.kind == "media"} == {"m4", "m5"}
    assert all(each.verdict.place is None for each in expiry.leaving if each.verdict.kind == "media")
    assert why == "emptied" or any("vault/media" in each and "stays" in each for each in expiry.findings)
    assert names(home / "media") == ["m3", "m3.catalogue.zst", "m3.json"]
    if why != "pushed to":
        shutil.rmtree(vault, ignore_errors=True)
        (home / "elsewhere").rename(vault)
    assert media_there(home) == ["m3", "m4", "m5"]
    expire(desk, apply=True)
    assert media_there(home) == ["m3"]


def test_what_interrupted_pushes_and_expiries_left_there_is_swept_and_half_a_copy_that_is_the_only_one_is_not(
    desk: Desk, home: Path
) -> None:
    vault = home / "vault" / "media"
    expire(desk)
    address = desk.site.media.repository[0].second if desk.site.media else None
    Memory(desk.state, "archive", address or "").expect("media", "m8")  # its push was interrupted; then it was lost
    for left in (".draft-m3~0a1b2c3d", ".draft-m8~0a1b2c3d", ".draft-m9~0a1b2c3d", ".expired-m9"):
        (vault / left / "deep").mkdir(parents=True)
        (vault / left / "deep" / "file").touch()
        (vault / left / "deep").chmod(0o500)
    (vault / "m5").rename(vault / ".expired-m5")  # and then it was interrupted
    (vault / "m5.json").rename(vault / ".expired-m5.json")
    expiry = expire(desk, apply=True)
    assert names(vault) == [
        ".draft-m8~0a1b2c3d", ".draft-m9~0a1b2c3d", ".expired-m9", "m3", "m3.catalogue.zst", "m3.json",
    ]  # fmt: skip
    assert any(".draft-m8~0a1b2c3d is half a copy" in finding for finding in expiry.findings)


def test_half_a_copy_whose_name_begins_like_anothers_is_not_swept_with_that_ones(desk: Desk, home: Path) -> None:
    vault = home / "vault" / "media"
    expire(desk)
    address = desk.site.media.repository[0].second if desk.site.media else None
    alike = ["m3~x", "m4~x", "m5~0a1b2c3d"]  # m3 stays, m4 and m5 go
    for name in alike:
        Memory(desk.state, "archive", address or "").expect("media", name)
        (vault / f".draft-{name}~0a1b2c3d").mkdir()
    for name in ("m3", "m4"):
        (vault / f".draft-{name}~4e5f6a7b").mkdir()
    shutil.rmtree(vault / "m4")  # its push is interrupted, and it goes here
    expiry = expire(desk, apply=True)
    drafts = [f".draft-{name}~0a1b2c3d" for name in alike]
    assert [name for name in names(vault) if name.startswith(".")] == drafts
    assert all(any(f"{draft} is half a copy" in finding for finding in expiry.findings) for draft in drafts)
