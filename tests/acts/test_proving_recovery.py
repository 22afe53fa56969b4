"""Where a proof drill's copy may be made."""

import os
from pathlib import Path

import pytest

from engine.acts import proving_recovery
from engine.acts.proving_recovery import _is_ours, _places
from engine.records.errors import Refused
from engine.system.users import current_user
from tests.acts.sites import make_site


def test_the_copys_folder_is_the_sites_own_else_one_that_the_server_can_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_site(tmp_path).desk
    public = Path(f"/var/tmp/reprise-proofs-{os.geteuid()}")
    monkeypatch.setattr(proving_recovery, "may_reach", lambda user, path: True)
    assert next(_places(desk, current_user())) == desk.state / "proof-copies"
    monkeypatch.setattr(proving_recovery, "may_reach", lambda user, path: False)
    monkeypatch.setattr(proving_recovery, "_is_ours", lambda folder: True)
    assert list(_places(desk, current_user())) == [public]
    monkeypatch.setattr(proving_recovery, "_is_ours", lambda folder: False)
    with pytest.raises(Refused, match="somebody else's"):
        list(_places(desk, current_user()))
    named = tmp_path / "named"
    named.mkdir()
    assert list(_places(make_site(named, f'[proof]\ninto = "{tmp_path}/into"').desk, current_user())) == [
        tmp_path / "into"
    ]


def test_a_public_folder_counts_only_where_nobody_else_may_write_into_it(tmp_path: Path) -> None:
    folder = tmp_path / "public"
    assert _is_ours(folder)
    folder.mkdir(mode=0o755)
    assert _is_ours(folder)
    folder.chmod(0o775)
    assert not _is_ours(folder)
    (tmp_path / "link").symlink_to(folder)
    assert not _is_ours(tmp_path / "link")
