"""The runbook, by hand: each form of backup comes up by the page's own commands, with the rows that it should have."""

import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import acts
from engine.acts.desk import Desk
from engine.paper.runbook.shell import default, quoted, without_credentials
from engine.postgres.server import free_port
from engine.records.errors import Refused
from engine.site import MediaRepository
from tests.clusters import Cluster, own
from tests.histories import History
from tests.media.foreign import PASSWORD, borg_of, needs, restic_of
from tests.paper.by_hand import commands, type_all
from tests.remote.sshd import running_sshd
from tests.transfer.backups import Backups

_CONFIGURATION = ("postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf")


def desk_of(
    home: Path, cluster: Cluster, backups: Path, wal: Path, more: str = "", *, second: str | None = None
) -> Desk:
    (home / "site.toml").write_text(f"""
[site]
name = "archive"
[database]
data_dir = "{cluster.data_dir}"
bin_dir = "{cluster.programs.bin_dir}"
host = "{cluster.socket_dir}"
port = {cluster.port}
run_as = "{cluster.user.name}"
[[database.repository]]
kind = "directory"
base_backups = "{backups}"
wal = "{wal}"
{f'second = "{second}"' if second else ""}
{more}
""")
    desk = acts.open_desk(home / "site.toml", home / "state")
    acts.read_archive(desk)
    return desk


def written(desk: Desk, name: str = "book.md") -> str:
    file = desk.state / name
    acts.write_runbook(desk, file, "markdown")
    return file.read_text()


def by_hand(page: str, new: Path, cluster: Cluster, **variables: str) -> str:
    """All that the page says, with its result in ``live`` beside ``new``; what it printed."""
    live, port = new.with_name("live"), str(free_port())
    return type_all(commands(page), new, cluster.programs, cluster.user, PORT=port, LIVE=str(live), **variables)


@pytest.mark.parametrize("kind", ["plain", "tar.zst"])
def test_a_backup_with_a_tablespace_comes_up(tmp_path: Path, open_dir: Path, backups: Backups, kind: str) -> None:
    if not backups.has(kind) or (kind == "tar.zst" and shutil.which("zstd") is None):
        pytest.skip(f"no {kind} here")
    copies, wal = open_dir / "it's a copy", open_dir / "the WAL"  # names that a shell could take apart
    copies.mkdir()
    source = backups.own(kind, copies).path
    shutil.copytree(backups.cluster.archive, wal)
    own(wal, backups.cluster.user)
    if kind == "plain":
        _nest(wal)
    else:
        _compress_half(wal)
    questions = "SELECT (SELECT sum(g) FROM here) = 450015000 AND (SELECT count(*) FROM there) = 30000"
    desk = desk_of(tmp_path, backups.cluster, copies, wal, f'[verify]\nsql = ["{questions}"]')
    etc = open_dir / "etc" / "main"
    _keep_beside(source, {"0-pg_hba.conf": etc / "pg_hba.conf", "1-other.conf": copies / "other.conf"})
    (copies / "other.conf").write_text("it is here still")
    before = _contents(source)

    told = by_hand(written(desk), open_dir / "new", backups.cluster)

    assert "backup successfully verified" in told and "question 1 of the site, must be t: t\n" in told
    live = open_dir / "live"
    assert (live / "pg_tblspc" / str(backups.oid)).readlink() == open_dir / "new" / "tablespaces" / str(backups.oid)
    assert all("restore-wal.sh" not in (live / name).read_text() for name in _CONFIGURATION)
    assert "archive_command" in (live / "postgresql.conf").read_text()  # the origin's own
    assert (etc / "pg_hba.conf").read_text() == "0-pg_hba.conf"
    assert (copies / "other.conf").read_text() == "it is here still"
    assert _contents(source) == before and not (backups.cluster.archive / "00000002.history").exists()


def test_copies_that_are_gone_come_from_the_second_place(tmp_path: Path, open_dir: Path, backups: Backups) -> None:
    """Here a compressed one, with its tablespace; nothing that is still here is replaced."""
    copies, wal, vault = open_dir / "base", open_dir / "wal", open_dir / "vault"
    copies.mkdir()
    source = backups.own("tar.gz", copies).path
    shutil.copytree(backups.cluster.archive, wal)
    own(wal, backups.cluster.user)
    with running_sshd(tmp_path) as sshd:
        page = written(desk_of(tmp_path, backups.cluster, copies, wal, second=sshd.place(vault)))
        vault.mkdir()
        copies.rename(vault / "base")
        shutil.copytree(wal, vault / "wal")
        names = sorted(path.name for path in wal.iterdir())
        (wal / names[-1]).unlink()
        (vault / "wal" / names[0]).write_bytes(b"another one's")
        told = by_hand(page, open_dir / "new", backups.cluster, SSH=sshd.rsh)
    assert "backup successfully verified" in told and (source / "backup_manifest").exists()
    assert (wal / names[-1]).exists() and (wal / names[0]).read_bytes() != b"another one's"


def test_a_chain_comes_up_on_the_newest_timeline(tmp_path: Path, open_dir: Path, history: History) -> None:
    """Without PostgreSQL 17 the full backup alone."""
    cluster, copies = history.cluster, open_dir / "base"
    copies.mkdir()
    chain = [name for kind, name in history.backups.items() if kind in ("plain", "incremental")]
    for name in chain:
        shutil.copytree(cluster.backups / name, copies / name, symlinks=True, copy_function=os.link)
    desk = desk_of(tmp_path, cluster, copies, cluster.archive, '[verify]\nsql = ["SELECT count(*) FROM ledger"]')
    page = written(desk)
    assert ("pg_combinebackup" in page) == cluster.can_increment

    told = by_hand(page, open_dir / "new", cluster)

    rows = cluster.rows_before(1 << 62, cluster.timeline, history.fork)
    assert f"must be t: {len(rows)}\n" in told and len(rows) > 300


def test_a_chain_with_a_tablespace_comes_up(tmp_path: Path, open_dir: Path, cluster: Cluster) -> None:
    """Its full backup a tar, its increment plain."""
    if not cluster.can_increment:
        pytest.skip("this PostgreSQL takes no incremental backups")
    location = cluster.root / "ts"
    location.mkdir()
    own(location, cluster.user)
    cluster.sql(f"CREATE TABLESPACE side LOCATION '{location}'")
    cluster.sql("CREATE TABLE there TABLESPACE side AS SELECT g FROM generate_series(1, 1000) g")
    cluster.base_backup("full", "tar.gz")
    cluster.sql("INSERT INTO there SELECT g FROM generate_series(1001, 1500) g")
    mapping = f"--tablespace-mapping={location}={cluster.backups / 'increment-ts'}"
    cluster.base_backup("increment", parent="full", extra=(mapping,))
    cluster.sql("INSERT INTO there SELECT g FROM generate_series(1501, 2000) g")
    cluster.switch()
    cluster.stop()
    desk = desk_of(tmp_path, cluster, cluster.backups, cluster.archive, '[verify]\nsql = ["SELECT sum(g) FROM there"]')

    told = by_hand(written(desk), open_dir / "new", cluster)

    assert told.count("backup successfully verified") == 2 and "must be t: 2001000\n" in told
    (link,) = (open_dir / "live" / "pg_tblspc").iterdir()
    assert link.readlink() == open_dir / "new" / "tablespaces" / link.name


def test_what_cannot_be_read_is_not_the_end_of_the_archive(tmp_path: Path, open_dir: Path, backups: Backups) -> None:
    """The page's restore script: 1 only where the archive is there and has no such file, else the server must stop."""
    copies, wal = open_dir / "base", open_dir / "wal"
    copies.mkdir()
    backups.own("plain", copies)
    shutil.copytree(backups.cluster.archive, wal)
    page = written(desk_of(tmp_path, backups.cluster, copies, wal))
    new = open_dir / "new"
    new.mkdir()
    script = next(text for text in page.split("```") if text.startswith("sh\n") and "restore-wal.sh NAME" in text)
    subprocess.run(
        ["sh", "-ec", script.removeprefix("sh\n")], env={"NEW": str(new), "PATH": os.environ["PATH"]}, check=True
    )

    def ask(name: str) -> int:
        return subprocess.run(["sh", new / "restore-wal.sh", name, new / "got"], check=False, stderr=-3).returncode

    names = sorted(path.name for path in wal.iterdir() if len(path.name) == 24)
    assert ask(names[0]) == 0 and (new / "got").read_bytes() == (wal / names[0]).read_bytes()
    assert ask("0000000100000000000000FF") == ask("00000002.history") == ask(f"00000002{names[-1][8:]}") == 1
    last = page.partition('needed "$name" ')[2].partition(";")[0].split()[1]
    (wal / last).rename(wal / "kept")
    assert ask(last) == 200  # a hole: the recovery needs it, it is not the end
    (wal / f"{last}.gz").write_bytes(b"no gzip")
    assert ask(last) == 200
    (wal / last).write_bytes((wal / "kept").read_bytes()[:24] + b"another" + (wal / "kept").read_bytes()[31:])
    assert ask(last) == 200  # another cluster's
    nested = wal / "15-1" / last[:16] / f"{last}-{'0123456789' * 4}"
    nested.parent.mkdir(parents=True)
    (wal / "kept").rename(nested)
    assert ask(last) == 0 and (new / "got").read_bytes() == nested.read_bytes()
    wal.rename(open_dir / "away")
    assert ask(names[0]) == 200


def test_a_runbook_takes_nobodys_place_and_is_for_its_owner_alone(tmp_path: Path, backups: Backups) -> None:
    desk = desk_of(tmp_path, backups.cluster, tmp_path / "none", backups.cluster.archive)
    file = tmp_path / "book.html"
    found = acts.write_runbook(desk, file, "html")
    assert (found.path, found.backup, found.reaches) == (str(file), None, None)
    page = file.read_text()
    assert "No moment can be reached today" in page and "<script" not in page
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Refused):
        acts.write_runbook(desk, file, "html")
    assert file.read_text() == page


@pytest.mark.parametrize("make", [restic_of, borg_of])
def test_files_that_another_program_keeps_come_back(
    tmp_path: Path, open_dir: Path, backups: Backups, make: Callable[[Path, Path], MediaRepository]
) -> None:
    """With the password's file named and its content nowhere."""
    needs(make.__name__.removesuffix("_of"))
    media = tmp_path / "media"
    (media / "2026").mkdir(parents=True)
    (media / "2026" / "a b.pdf").write_bytes(b"a scan")
    repository = make(media, tmp_path)
    more = f'[media]\npath = "{media}"\n[[media.repository]]\nkind = "{repository.kind}"\npath = "{repository.path}"\n'
    desk = desk_of(tmp_path, backups.cluster, tmp_path, tmp_path, f'{more}password_file = "{repository.password_file}"')
    page, new = written(desk), open_dir / "new"
    assert PASSWORD not in page and f"$NEW/files{media}" in page
    base = {"BORG_BASE_DIR": str(tmp_path / "base")}
    type_all(commands(page), new, backups.cluster.programs, backups.cluster.user, **base)
    assert (new / "files" / media.relative_to("/") / "2026" / "a b.pdf").read_bytes() == b"a scan"


@pytest.mark.parametrize("path", ["/a b", "/it's $(id) `id`", "/\\\n\x1b%d", os.fsdecode(b"/odd \xff"), "/ümlaut"])
def test_a_path_is_one_word_for_the_shell_and_fit_for_paper(path: str) -> None:
    word = quoted(path)
    assert word.isprintable()
    assert subprocess.run(["sh", "-c", f"printf %s {word}"], capture_output=True, check=True).stdout == os.fsencode(
        path
    )
    lines = [default("NEW", path), 'printf %s "$NEW"']
    assert subprocess.run(["sh", "-c", "\n".join(lines)], capture_output=True, check=True).stdout == os.fsencode(path)


def test_an_address_keeps_no_password() -> None:
    assert without_credentials("rest:https://me:secret@backup.example/r") == "rest:https://backup.example/r"
    assert without_credentials("https://token@git.example/docs.git") == "https://git.example/docs.git"
    assert without_credentials("https://me:p@ss@git.example/docs") == "https://git.example/docs"
    assert without_credentials("https://git.example/d.git?private_token=secret#x") == "https://git.example/d.git"
    assert without_credentials("ssh://backup@vault/copies") == "ssh://backup@vault/copies"
    assert without_credentials("ssh://backup:secret@vault:22/copies?k=v") == "ssh://backup@vault:22/copies"
    assert without_credentials("/srv/what?/a@b") == "/srv/what?/a@b"


def _keep_beside(backup: Path, files: dict[str, Path]) -> None:
    """Configuration from outside the data directory, as `backup base` keeps it."""
    folder = backup.with_name(f"{backup.name}.beside")
    folder.mkdir()
    for name in files:
        (folder / name).write_text(name)
    (folder / "cluster.json").write_text(json.dumps({"files": {name: str(place) for name, place in files.items()}}))


def _compress_half(wal: Path) -> None:
    """Every second segment, by the program that PostgreSQL's users archive with."""
    for path in _segments(wal)[::2]:
        subprocess.run(["zstd", "-q", "--rm", str(path)], check=True)


def _nest(wal: Path) -> None:
    """As Barman, which packs segments under their own names, and as pgBackRest do: every second segment."""
    for number, path in enumerate(_segments(wal)):
        folder = wal / "15-1" / path.name[:16] if number % 2 else wal / path.name[:16]
        folder.mkdir(parents=True, exist_ok=True)
        data = path.read_bytes()
        if number % 2 == 0:
            (folder / path.name).write_bytes(gzip.compress(data, 1) if number % 4 else data)
        else:
            (folder / f"{path.name}-{'0123456789' * 4}.gz").write_bytes(gzip.compress(data, 1))
        path.unlink()


def _segments(wal: Path) -> list[Path]:
    return sorted(path for path in wal.iterdir() if len(path.name) == 24)


def _contents(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in folder.rglob("*")}
