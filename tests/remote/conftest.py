"""The other server of these tests: a folder behind a real sshd on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.remote.places import RemotePlace, read_place
from tests.remote.sshd import running_sshd


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RemotePlace, Path]]:
    """The other server's folder, as an address and as a path."""
    with running_sshd(tmp_path_factory.mktemp("sshd")) as sshd, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RSYNC_RSH", sshd.rsh)
        folder = tmp_path_factory.mktemp("vault")
        yield read_place(sshd.place(folder)), folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    copy = tmp_path / "20261127T020000Z"
    (copy / "2026" / "it's here; $(touch x)").mkdir(parents=True)
    (copy / "2026" / "a.pdf").write_bytes(b"a" * 100_000)
    (copy / "2026" / "it's here; $(touch x)" / "b.pdf").write_bytes(b"b" * 100)
    (copy / "2026" / "link").symlink_to("a.pdf")
    return copy
