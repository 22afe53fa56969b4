"""A site that a test may spoil, and what `plan` and `restore` say of it."""

import dataclasses
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.clusters import Cluster
from tests.end_to_end.operator import Operator, operator_for

LATEST = ("--latest", "--timeline", "1")
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can do this to a machine")

# What a plan for copies without a fault may still warn of: production's own, newest segment is not archived.
# And a build without ICU (the embedded one) cannot say beforehand that no database needs it.
EXPECTED_WARNINGS = {"unarchived-tail", "build-features"}


class Checks(dict[str, dict[str, Any]]):
    """A plan's or report's checks by name; the last of a name counts (the report's own come behind the plan's)."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__({check["name"]: check for check in document["checks"]})
        self.document = document

    @property
    def refusing(self) -> set[str]:
        return {name for name, check in self.items() if check["level"] == "refuse" and check["ok"] is not True}

    @property
    def warning(self) -> set[str]:
        return {name for name, check in self.items() if check["level"] == "warn" and check["ok"] is not True}

    def says(self, name: str, level: str, ok: bool | None, *words: str) -> None:
        check = self[name]
        assert (check["level"], check["ok"]) == (level, ok), check
        assert all(word in check["finding"] for word in words), check
        if level == "refuse" and ok is not True:
            assert name in self.refusing and self.document["outcome"] == "refused"
            assert check["remedy"], check


@dataclasses.dataclass
class Place:
    """A copy of a cluster's archive and backups that a test may damage, and a site file for it. Files are links: what
    is changed must be made anew (``rewrite``)."""

    operator: Operator
    original: Cluster

    @property
    def home(self) -> Path:
        return self.operator.home

    @property
    def archive(self) -> Path:
        return self.operator.cluster.archive

    @property
    def into(self) -> tuple[str, str]:
        return "--into", str(self.home / "copy")

    def backup(self, name: str) -> Path:
        """A base backup of this place's own."""
        folder = self.operator.cluster.backups / name
        if folder.is_symlink():
            original = folder.resolve()
            folder.unlink()
            shutil.copytree(original, folder, symlinks=True, copy_function=os.link)
        return folder

    def keep_only(self, *names: str) -> None:
        for folder in self.operator.cluster.backups.iterdir():
            if folder.name not in names:
                folder.unlink()

    def site(self, **database: str) -> None:
        """Change keys of the site file's [database]."""
        text = self.operator.site.read_text()
        for key, value in database.items():
            text, number = re.subn(rf"(?m)^{key} = .*$", f'{key} = "{value}"', text)
            if not number:
                text = text.replace("[database]\n", f'[database]\n{key} = "{value}"\n')
        self.operator.site.write_text(text)

    def plan(self, *words: str) -> Checks:
        """`plan` in this process; a side copy unless the words say where. Nothing may be made by it."""
        if not {"--into", "--in-place"} & set(words):
            words = (*words, *self.into)
        was = sorted(self.home.iterdir())
        said = self.operator.ask("plan", *words)
        assert said.code == {"planned": 0, "refused": 3}[said.document["outcome"]], said
        assert sorted(self.home.iterdir()) == sorted({*was, self.home / "state"})
        return Checks(said.document)

    def restore(self, *words: str) -> Checks:
        """`restore` that completes, in processes of its own."""
        return Checks(self.operator.ask("restore", *words, "--yes", expect=0).document)


def make_place(cluster: Cluster, home: Path, data_dir: Path | None = None) -> Place:
    server = replace(cluster.server, data_dir=data_dir or cluster.data_dir)
    place = dataclasses.replace(cluster, root=home / "site", server=server)
    place.backups.mkdir(parents=True)
    shutil.copytree(cluster.archive, place.archive, copy_function=os.link)
    for backup in cluster.backups.iterdir():
        (place.backups / backup.name).symlink_to(backup)
    made = Place(operator_for(place, home), cluster)
    made.site(host=str(cluster.socket_dir))
    return made


def rewrite(file: Path, change: Callable[[bytes], bytes]) -> None:
    """New content in a file of its own: the original, to which it was linked, stays as it is."""
    content, stat = change(file.read_bytes()), file.stat()
    file.unlink()
    file.write_bytes(content)
    os.chown(file, stat.st_uid, stat.st_gid)
    file.chmod(stat.st_mode)


def add(file: Path, *lines: str) -> None:
    rewrite(file, lambda content: content + "".join(f"{line}\n" for line in lines).encode())


@contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=False).returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def flip(content: bytes) -> bytes:
    middle = 5 * 8192 + 4000  # inside a record's body, whatever it is: a page's header is 24 bytes
    return content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :]
