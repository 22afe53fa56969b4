"""Where a proof drill's copy may be made; what is left of one that is refused."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.acts import proving_recovery
from engine.acts.proving_recovery import _is_ours, _places, plan_proof_drill, prepare_proof_drill
from engine.acts.watching import status
from engine.records.errors import Refused
from engine.records.files import Files
from engine.records.target import RecoveryTarget
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


def test_a_refused_proof_drill_is_told_by_the_status_until_one_is_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_site(tmp_path).desk

    def told() -> list[str]:
        found = next(thing for thing in status(desk).things if thing.name == "database-full")
        return [each for each in found.findings if "proof drill" in each]

    assert told() == []
    with pytest.raises(Refused):  # no backup: no moment to choose
        prepare_proof_drill(desk, None)
    assert "refused" in told()[0] and "no recovery window" in told()[0]
    planned = prepare_proof_drill(desk, RecoveryTarget("latest"))
    assert planned.refused
    why = next(f"{check.name}: {check.finding}" for check in planned.checks if check.refuses)
    assert len(told()) == 1 and f"{datetime.now(UTC):%Y-%m-%d}" in told()[0] and why in told()[0]
    plan_proof_drill(desk, RecoveryTarget("latest"))  # only looked at: says nothing
    well = replace(planned, checks=(), files=Files(None, (), "into", "/", "/", "/", None, None))
    assert not well.refused
    monkeypatch.setattr(proving_recovery, "plan_proof_drill", lambda desk, target: well)
    prepare_proof_drill(desk, RecoveryTarget("latest"))
    assert told() == []
