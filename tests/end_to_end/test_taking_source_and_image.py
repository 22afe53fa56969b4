"""The source code and the environment, copied and brought back from the command line."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.run.folder import find_run, read_run
from tests.end_to_end.mounts import small_disk
from tests.end_to_end.operator import Operator, operator_for
from tests.histories import History

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not on this machine")
WHO = ["-c", "user.name=t", "-c", "user.email=t@example.org"]


def git(*words: str, cwd: Path, date: str | None = None) -> str:
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date} if date else {}
    done = subprocess.run(
        ["git", *WHO, *words], cwd=cwd, check=True, capture_output=True, text=True, env={**os.environ, **dates}
    )
    return done.stdout.strip()


def commit(source: Path, content: str, date: str) -> str:
    (source / "app.py").write_text(content)
    git("add", "-A", cwd=source)
    git("commit", "-q", "-m", content, cwd=source, date=date)
    return git("rev-parse", "HEAD", cwd=source)


@pytest.fixture
def operator(history: History, open_dir: Path) -> Operator:
    """A site with a git repository of two commits and an installation folder around it."""
    operator = operator_for(history.cluster, open_dir)
    source = open_dir / "srv" / "src"
    source.mkdir(parents=True)
    (open_dir / "copies").mkdir()
    git("init", "-q", "-b", "main", cwd=source)
    commit(source, "one", "2026-11-01T12:00:00+0000")
    commit(source, "two", "2026-11-02T12:00:00+0000")
    return operator


def add(operator: Operator, text: str) -> None:
    with operator.site.open("a") as file:
        file.write(text + "\n")


def source_of(operator: Operator) -> Path:
    return operator.home / "srv" / "src"


def copies(operator: Operator, kind: str) -> list[str]:
    document = operator.ask("catalog", expect=0).document
    return [each["id"] for each in document[kind]]


def test_a_mirror_follows_keeps_what_was_forced_away_and_gives_any_moment_back(operator: Operator) -> None:
    add(operator, f'[[source]]\npath = "{source_of(operator)}"\nmirror = "{operator.home}/copies/docs.git"')
    first = operator.ask("backup", "source", expect=0).document["copy"]
    assert (first["kind"], first["form"]) == ("source", "mirror")
    second = git("rev-parse", "HEAD", cwd=source_of(operator))
    git("reset", "-q", "--hard", "HEAD~1", cwd=source_of(operator))
    third = commit(source_of(operator), "three", "2026-11-03T12:00:00+0000")
    operator.ask("backup", "source", expect=0)
    assert copies(operator, "sources") == ["docs.git"]
    assert operator.ask("verify", "docs.git", expect=0).document["results"][0]["ok"]
    now = operator.ask("restore-source", "--into", operator.home / "now", expect=0).document
    assert now["commit"] == third
    assert (operator.home / "now" / "app.py").read_text() == "three"
    early = ("--time", "2026-11-02T00:00:00Z", "--into", operator.home / "early")
    assert operator.ask("restore-source", *early, expect=0).code == 0
    assert (operator.home / "early" / "app.py").read_text() == "one"
    mirror = operator.home / "copies" / "docs.git"
    assert git("-c", f"safe.directory={mirror}", "cat-file", "-t", second, cwd=mirror) == "commit"
    damaged = next(mirror.glob("objects/??/*"))
    damaged.chmod(0o600)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    assert not operator.ask("verify", "docs.git", expect=1).document["results"][0]["ok"]


def test_bundles_are_one_for_each_time_and_whole(operator: Operator) -> None:
    add(operator, f'[[source]]\npath = "{source_of(operator)}"\nbundles = "{operator.home}/copies"')
    copy = operator.ask("backup", "source", expect=0).document["copy"]
    assert copies(operator, "sources") == [copy["id"]]
    assert sorted(path.name for path in (operator.home / "copies").iterdir()) == [
        f"{copy['id']}.bundle", f"{copy['id']}.bundle.json",
    ]  # fmt: skip
    assert operator.ask("verify", copy["id"], expect=0).document["results"][0]["ok"]
    into = operator.home / "clone"
    operator.ask("restore-source", copy["id"], "--commit", "HEAD~1", "--into", into, expect=0)
    assert (into / "app.py").read_text() == "one"
    assert operator.ask("restore-source", copy["id"], "--into", into).code == 3
    bad = operator.ask("restore-source", copy["id"], "--commit", "--upload-pack=x", "--into", operator.home / "no")
    assert bad.code != 0 and not (operator.home / "no").exists()


@pytest.mark.parametrize("form", ["mirror", "bundles"])
def test_head_is_followed_to_another_branch_and_to_a_commit_that_is_on_none(operator: Operator, form: str) -> None:
    place, source = "copies/docs.git" if form == "mirror" else "copies", source_of(operator)
    add(operator, f'[[source]]\npath = "{source}"\n{form} = "{operator.home}/{place}"')
    operator.call("backup", "source", expect=0)
    git("checkout", "-q", "-b", "hotfix", cwd=source)
    wanted = [commit(source, "hot", "2026-11-04T12:00:00+0000")]
    git("checkout", "-q", "--detach", cwd=source)
    for number in (1, 2):
        wanted.append(commit(source, f"on no branch {number}", f"2026-11-0{4 + number}T12:00:00+0000"))
        git("reset", "-q", "--hard", "hotfix", cwd=source)
    for number, head in enumerate((*wanted, "main")):
        git("checkout", "-q", head if number else "hotfix", cwd=source)
        copy = operator.ask("backup", "source", expect=0).document["copy"]["id"]
        now = operator.ask("restore-source", copy, "--into", operator.home / f"{number}", expect=0).document
        assert now["commit"] == git("rev-parse", "HEAD", cwd=source)
        early = ("--time", "2026-11-01T18:00:00Z", "--into", operator.home / f"early-{number}")
        operator.call("restore-source", copy, *early, expect=0)
        assert (operator.home / f"early-{number}" / "app.py").read_text() == "one"
    assert all(each["ok"] for each in operator.ask("verify", "--all").document["results"] if each["kind"] == "source")
    if form == "mirror":
        mirror = operator.home / "copies" / "docs.git"
        for head in wanted:
            assert git("-c", f"safe.directory={mirror}", "cat-file", "-t", head, cwd=mirror) == "commit"


def test_what_is_in_no_commit_is_named_before_it_is_not_copied(operator: Operator) -> None:
    source = source_of(operator)
    add(operator, f'[[source]]\npath = "{source}"\nbundles = "{operator.home}/copies"')
    assert "uncommitted" not in [each["name"] for each in operator.ask("backup", "source", expect=0).document["checks"]]
    (source / "app.py").write_text("mended at night")
    (source / "new.py").write_text("and not committed")
    checks = operator.ask("backup", "source", expect=0).document["checks"]
    (check,) = [each for each in checks if each["name"] == "uncommitted"]
    assert check["level"] == "warn" and check["finding"].startswith("2 files")


def test_a_source_that_git_cannot_read_is_refused(operator: Operator) -> None:
    add(operator, f'[[source]]\npath = "{operator.home}/nowhere"\nbundles = "{operator.home}/copies"')
    assert "source-reachable" in operator.ask("backup", "source", expect=3).document["error"]["message"]
    assert list((operator.home / "copies").iterdir()) == []


def test_an_installation_folder_is_packed_without_what_has_copies_of_its_own_and_unpacked_exactly(
    operator: Operator,
) -> None:
    root = operator.home / "srv"
    (root / "media").mkdir()
    (root / "media" / "scan.pdf").write_text("has a copy of its own")
    (root / "odd [name]*").write_text("x")
    (root / "odd [name]*").chmod(0o640)
    (root / "link").symlink_to("odd [name]*")
    add(operator, f'[media]\npath = "{root}/media"\n[environment]\npath = "{root}"\nstore = "{operator.home}/copies"')
    said = operator.ask("backup", "image", expect=0).document
    copy = said["copy"]
    assert (copy["kind"], copy["form"]) == ("image", "packed")
    assert copies(operator, "images") == [copy["id"]]
    packed = operator.home / "copies" / f"{copy['id']}.tar.zst"
    assert copy["size_bytes"] == packed.stat().st_size
    into = operator.home / "unpacked"
    operator.ask("restore-image", "--into", into, expect=0)
    assert (into / "src" / "app.py").read_text() == "two"
    assert (into / "odd [name]*").stat().st_mode & 0o777 == 0o640
    assert (into / "link").readlink() == Path("odd [name]*")
    assert not (into / "media").exists()
    content = bytearray(packed.read_bytes())
    content[-10] ^= 1
    packed.write_bytes(content)
    assert not operator.ask("verify", copy["id"], expect=1).document["results"][0]["ok"]
    broken = operator.ask("restore-image", "--into", operator.home / "broken")
    assert broken.code == 1 and not (operator.home / "broken").exists()


def test_what_is_mounted_in_an_installation_folder_is_not_packed_and_that_is_said(operator: Operator) -> None:
    root = operator.home / "srv"
    own, elsewhere = root / "media", root / "other [place]*"
    add(operator, f'[media]\npath = "{own}"\n[environment]\npath = "{root}"\nstore = "{operator.home}/copies"')
    with small_disk(own, operator.home / "1.img", 8), small_disk(elsewhere, operator.home / "2.img", 8):
        (elsewhere / "precious").touch()
        said = operator.call("backup", "image", expect=0).document
    (check,) = [each for each in said["checks"] if each["name"] == "mounted-inside"]
    assert check["level"] == "warn" and check["finding"].endswith(f"is not packed: {elsewhere}")
    notes = read_run(find_run(operator.home / "state", said["run"])).notes
    assert [each["text"] for each in notes] == [f"another file system is mounted at {elsewhere}: not packed"]


def test_a_registered_image_is_known_by_its_checksum(operator: Operator) -> None:
    image = operator.home / "docs.qcow2"
    image.write_bytes(os.urandom(3 << 20))
    add(operator, f'[environment]\nimage = "{image}"\nstore = "{operator.home}/copies"')
    copy = operator.ask("backup", "image", expect=0).document["copy"]
    assert copy["size_bytes"] == image.stat().st_size
    assert operator.ask("verify", copy["id"], expect=0).document["results"][0]["ok"]
    operator.ask("restore-image", "--into", operator.home / "copy.qcow2", expect=0)
    assert (operator.home / "copy.qcow2").read_bytes() == image.read_bytes()
    content = bytearray(image.read_bytes())
    content[5] ^= 1
    image.write_bytes(content)
    assert not operator.ask("verify", copy["id"], expect=1).document["results"][0]["ok"]
