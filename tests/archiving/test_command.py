"""The archive command by itself: what it answers with success is whole, on disk and under its name."""

import os
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from engine.archiving.command import MARK, SCRIPT_NAME, archive_command, is_ours, write_script

NAME = "000000010000000000000005"
ZSTD = pytest.param("zstd", marks=pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not here"))


class Place:
    """The script, an archive folder with the mark, a segment to archive."""

    def __init__(self, root: Path) -> None:
        self.script, self.folder, self.wal = root / SCRIPT_NAME, root / "arch ive's", root / "pg_wal"
        for folder in (self.folder, self.wal):
            folder.mkdir()
        (self.folder / MARK).touch()
        write_script(self.script)
        self.segment = self.wal / NAME
        self.segment.write_bytes(os.urandom(1 << 20))

    def archive(self, *how: str, name: str = NAME) -> subprocess.CompletedProcess[str]:
        words = ["sh", str(self.script), str(self.folder), str(self.segment), name, *how]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    def archived(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.name != MARK)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize("how", ["plain", ZSTD])
def test_a_segment_is_archived_once_and_the_same_again_is_success(place: Place, how: str) -> None:
    for _ in range(2):
        done = place.archive(how)
        assert (done.returncode, done.stderr) == (0, "")
    assert place.archived() == [NAME if how == "plain" else f"{NAME}.zst"]
    if how == "plain":
        assert (place.folder / NAME).read_bytes() == place.segment.read_bytes()
    other = "zstd" if how == "plain" else "plain"
    if other == "plain" or shutil.which("zstd"):
        assert place.archive(other).returncode == 0
    assert len(place.archived()) == 1


@pytest.mark.parametrize("how", ["plain", ZSTD])
def test_other_content_under_the_same_name_is_an_error_and_nothing_is_replaced(place: Place, how: str) -> None:
    assert place.archive(how).returncode == 0
    before = [(path.name, path.read_bytes()) for path in sorted(place.folder.iterdir())]
    place.segment.write_bytes(os.urandom(1 << 20))
    done = place.archive(how)
    assert done.returncode == 1
    assert "other content" in done.stderr
    assert [(path.name, path.read_bytes()) for path in sorted(place.folder.iterdir())] == before


def test_what_another_archives_under_the_same_name_in_the_last_moment_is_not_replaced(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one comes just before the rename, whatever program does it."""
    (tmp_path / "bin").mkdir()
    for program in ("ln", "mv"):
        late = tmp_path / "bin" / program
        target = shlex.quote(str(place.folder / NAME))
        script = f'#!/bin/sh\n[ -e {target} ] || echo other >{target}\nexec {shutil.which(program)} "$@"\n'
        late.write_text(script)
        late.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert place.archive().returncode == 1
    assert (place.folder / NAME).read_text() == "other\n"
    assert place.archived() == [NAME]


def test_a_folder_without_the_mark_is_not_the_archive(place: Place) -> None:
    (place.folder / MARK).unlink()
    done = place.archive()
    assert done.returncode == 1
    assert "is it mounted?" in done.stderr
    assert place.archived() == []


@pytest.mark.parametrize("name", ["", "../escape", "a/b", ".hidden"])
def test_a_name_that_leads_elsewhere_is_refused(place: Place, name: str) -> None:
    assert place.archive(name=name).returncode == 1
    assert place.archived() == []


def test_killed_in_the_middle_nothing_stands_under_the_name_and_the_next_try_succeeds(place: Place) -> None:
    place.segment.write_bytes(os.urandom(64 << 20))
    for moment in (0.0, 0.005, 0.02, 0.05):
        words = ["sh", str(place.script), str(place.folder), str(place.segment), NAME]
        process = subprocess.Popen(words, start_new_session=True)
        time.sleep(moment)
        os.killpg(process.pid, 9)
        process.wait()
        archived = place.folder / NAME
        assert not archived.exists() or archived.read_bytes() == place.segment.read_bytes()
    for left in (f".draft-{NAME}.77", f".draft-{NAME}.99", ".draft-000000010000000000000006.77"):
        (place.folder / left).write_bytes(b"half")
    for _ in range(2):
        assert place.archive().returncode == 0
        assert (place.folder / NAME).read_bytes() == place.segment.read_bytes()
        assert place.archived() == [".draft-000000010000000000000006.77", NAME]  # that one's turn comes
        (place.folder / f".draft-{NAME}.77").hardlink_to(place.folder / NAME)  # killed once it had its name


@pytest.mark.parametrize("signal", [signal.SIGQUIT, signal.SIGTERM])
def test_a_server_that_is_stopped_at_once_leaves_no_draft(place: Place, signal: int) -> None:
    """An immediate shutdown, and a crash of one backend, send SIGQUIT to the archiver's process group."""
    place.segment.write_bytes(os.urandom(64 << 20))
    words = ["sh", str(place.script), str(place.folder), str(place.segment), NAME]
    process = subprocess.Popen(words, start_new_session=True, stderr=subprocess.DEVNULL)
    while not any(name.startswith(".draft") for name in place.archived()):
        time.sleep(0.001)
    os.killpg(process.pid, signal)
    assert process.wait() != 0
    assert place.archived() == []


def test_a_full_disk_is_an_error_and_leaves_no_draft(place: Place) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place.folder)], check=True)
    try:
        (place.folder / MARK).touch()
        done = place.archive()
        assert done.returncode == 1
        assert place.archived() == []
    finally:
        subprocess.run(["umount", str(place.folder)], check=True)


def test_its_own_setting_is_told_from_another_programs() -> None:
    command = archive_command(Path("/etc/rep rise") / SCRIPT_NAME, "/backup/100%/wal", zstd=True)
    assert command == '\'/etc/rep rise/archive-wal.sh\' /backup/100%%/wal "%p" "%f" zstd'
    assert is_ours(command)
    assert not is_ours("pgbackrest --stanza=main archive-push %p")
    assert not is_ours("cp '%p /unbalanced")
