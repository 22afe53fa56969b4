"""A folder of users' files with whatever names and kinds of files there may be, kept by the real restic and borg."""

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from engine.media.catalogue import Entry
from engine.media.sources import SnapshotFiles
from engine.site import MediaRepository

PASSWORD = "correct horse"
ATTRIBUTE = "user.origin"
ODD = b"odd\xff\xfename"
CONTENTS: dict[bytes, bytes] = {
    b"2026/11/a.pdf": b"a",
    b"2026/11-b/q": b"between, as text",
    b"2026/11.x/q": b"after, as text",
    b"empty file": b"",
    b"new\nline": b"two lines",
    b"n" * 255: b"a long name",
    b'tab\tback\\slash "quote" *?[x] ': b"a pattern",
    b"# $HOME": b"a comment",
    "\u00fcn\u00ef \ufffd".encode(): b"text, and a replacement character of its own",
    b"what?": b"a question mark",
    ODD: b"odd",
    b"odd\xfe\xffname": b"odd too, and told alike",
    b"dir\xff/inner": b"below an odd folder",
    b"dir\xff/odd\xfa": b"odd below an odd folder",
}


def make_media(place: Path) -> Path:
    """The folder, with holes, links, empty folders and an extended attribute besides."""
    for name, content in CONTENTS.items():
        path = place / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (place / "empty").mkdir(mode=0o750)
    (place / "link").symlink_to("../outside")
    (place / "odd link").symlink_to(os.fsdecode(b"t\xfft"))
    (place / "asking link").symlink_to("t?t")
    with (place / "sparse").open("wb") as file:
        file.truncate(3 << 20)
        file.seek(1 << 20)
        file.write(b"in the middle")
    os.link(place / "sparse", place / "again")
    os.mkfifo(place / "pipe")
    (place / "empty file").chmod(0o4640)
    with suppress(OSError):  # not every file system has them
        os.setxattr(place / "empty file", ATTRIBUTE, b"a scanner\xff")
    os.utime(place / "what?", ns=(1_700_000_000_123_456_789, 1_700_000_000_123_456_789))
    return place


def needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def run(*command: str | bytes, cwd: Path | str = "/", **env: str) -> bytes:
    whole = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "RESTIC_PASSWORD": PASSWORD}
    whole |= {"BORG_PASSPHRASE": PASSWORD, "RESTIC_CACHE_DIR": "/nonexistent/cache"} | env
    done = subprocess.run(command, env=whole, cwd=cwd, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def restic_of(media: Path, place: Path, **keys: str) -> MediaRepository:
    """A restic repository with one snapshot of the folder."""
    repository = str(place / "restic")
    run("restic", "--no-cache", "-r", repository, "init")
    run("restic", "--no-cache", "-r", repository, "backup", str(media))
    return MediaRepository("restic", repository, **{"password_file": password_file(place), **keys})  # type: ignore[arg-type]


def borg_of(
    media: Path, place: Path, *, cwd: Path = Path("/"), encryption: str = "repokey", **keys: str
) -> MediaRepository:
    """A borg repository with one archive of the folder, made in another time zone."""
    repository, base = str(place / "borg"), str(place / "base")
    run("borg", "init", "-e", encryption, repository, BORG_BASE_DIR=base)
    run("borg", "create", f"{repository}::first", str(media), BORG_BASE_DIR=base, TZ="Asia/Tokyo", cwd=cwd)
    return MediaRepository("borg", repository, **{"password_file": password_file(place), **keys})  # type: ignore[arg-type]


def password_file(place: Path) -> str:
    (place / "password").write_text(PASSWORD + "\n")
    return str(place / "password")


def entries_of(files: SnapshotFiles, *, hashes: bool = True) -> list[Entry]:
    with files.entries(hashes=hashes) as entries:
        return list(entries)


def fetched(files: SnapshotFiles, place: Path, names: list[bytes]) -> dict[bytes, bytes]:
    """What comes of fetching these, by its path."""
    place.mkdir()
    into = place / "into"
    into.mkdir()
    (place / "list").write_bytes(b"".join(name + b"\0" for name in names))
    told: list[tuple[int, int]] = []
    files.fetch(place / "list", into, lambda files, bytes: told.append((files, bytes)))
    assert told and told == sorted(told), "progress went back"
    found: dict[bytes, bytes] = {}
    for above, _, here in os.walk(bytes(into)):
        for name in here:
            found[os.path.relpath(above + b"/" + name, bytes(into))] = Path(
                os.fsdecode(above + b"/" + name)
            ).read_bytes()
    assert told[-1] == (len(found), sum(map(len, found.values())))
    return found


def damage(data: Path, content: bytes) -> None:
    """Change a byte of this content, 8 MB that cannot be compressed, in a repository that is not encrypted."""
    middle = content[4 << 20 : (4 << 20) + 32]
    for segment in (each for each in data.rglob("*") if each.is_file()):
        whole = segment.read_bytes()
        if (place := whole.find(middle)) >= 0:
            segment.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            return
    raise AssertionError("it is nowhere")
