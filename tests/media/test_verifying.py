"""A snapshot held against its catalogue: whatever is changed in it is found and named."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.media.catalogue import catalogue_of
from engine.media.snapshot import take_snapshot
from engine.media.verifying import verify_snapshot


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    live = tmp_path / "live"
    (live / "2026/11/27").mkdir(parents=True)
    for name in ("a.pdf", "b.pdf", "c.pdf"):
        (live / "2026/11/27" / name).write_bytes(name.encode() * 1000)
    (live / "link").symlink_to("2026")
    take_snapshot(live, tmp_path / "s1", None)
    return tmp_path / "s1"


def flip(path: Path) -> None:
    """Change one bit; size and time stay."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_whole_snapshot_has_no_findings_and_every_byte_of_it_was_read(snapshot: Path) -> None:
    told: list[tuple[int, int]] = []
    assert verify_snapshot(snapshot, lambda files, bytes: told.append((files, bytes))) == []
    assert told[-1][1] == 3 * 5000


@pytest.mark.parametrize(
    ("harm", "finding"),
    [
        (lambda place: flip(place / "b.pdf"), "b.pdf has other content"),
        (lambda place: (place / "b.pdf").unlink(), "b.pdf is missing"),
        (lambda place: (place / "b.pdf").write_bytes(b"x"), "b.pdf has 1 bytes"),
        (lambda place: (place / "bb.pdf").write_bytes(b"x"), "bb.pdf is not in the catalogue"),
        (lambda place: (place / "zz.pdf").write_bytes(b"x"), "zz.pdf is not in the catalogue"),
        (lambda place: ((place / "b.pdf").unlink(), (place / "b.pdf").symlink_to("a.pdf")), "another kind"),
        (lambda place: catalogue_of(place.parents[2]).write_bytes(b"no"), "catalogue"),
    ],
)
def test_what_is_not_as_the_catalogue_says_is_named(
    snapshot: Path, harm: Callable[[Path], object], finding: str
) -> None:
    harm(snapshot / "2026/11/27")
    findings = verify_snapshot(snapshot)
    assert len(findings) == 1
    assert finding in findings[0]


def test_a_flood_of_findings_is_counted_not_listed(snapshot: Path) -> None:
    for number in range(200):
        (snapshot / f"stray-{number}").touch()
    findings = verify_snapshot(snapshot)
    assert len(findings) == 51
    assert findings[-1] == "and 150 more"


def test_files_shared_with_the_snapshot_before_are_not_read_again_all_others_are(snapshot: Path) -> None:
    live = snapshot.with_name("live")
    (live / "2026/11/27/b.pdf").write_bytes(b"another")
    (live / "2026/11/27/twin.pdf").hardlink_to(live / "2026/11/27/b.pdf")
    take_snapshot(live, snapshot.with_name("s2"), snapshot)
    told: list[tuple[int, int]] = []
    second = snapshot.with_name("s2")
    assert verify_snapshot(second, lambda files, bytes: told.append((files, bytes)), shared_with=snapshot) == []
    assert told[-1] == (4, 2 * len(b"another"))
    flip(second / "2026/11/27/b.pdf")
    found = verify_snapshot(second, shared_with=snapshot)
    assert found == ["2026/11/27/b.pdf has other content than the catalogue says"]
