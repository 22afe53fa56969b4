"""psql for a person: which one, as whom, with which limits."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.postgres.psql import Psql, find_psql, hold_psql
from engine.records.errors import RepriseError
from engine.records.survey import Programs
from engine.system.users import current_user

WHERE = {"host": "/srv/a run", "port": 5434, "user": "postgres", "dbname": "orders"}


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(str(tmp_path), 17, "17.6")


def test_it_is_the_servers_own_and_no_statement_of_it_can_hang(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "psql").touch()
    found = find_psql(programs, current_user(), **WHERE, read_only=False)  # type: ignore[arg-type]
    assert found.command == (
        f"{tmp_path}/psql", "-X", "-h", "/srv/a run", "-p", "5434", "-U", "postgres", "-d", "orders",
    )  # fmt: skip
    assert found.environment["PGOPTIONS"] == "-c statement_timeout=60s -c lock_timeout=3s"


def test_read_only_begins_every_transaction_so(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "psql").touch()
    found = find_psql(programs, current_user(), **WHERE, read_only=True)  # type: ignore[arg-type]
    assert found.environment["PGOPTIONS"].endswith("-c default_transaction_read_only=on")


def test_where_there_is_none_it_is_said(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.postgres.psql.shutil.which", lambda name, path: None)
    with pytest.raises(RepriseError, match="there is no psql") as raised:
        find_psql(programs, current_user(), **WHERE, read_only=False)  # type: ignore[arg-type]
    assert raised.value.remedy == "install PostgreSQL 17's client package"


def test_its_exit_code_is_told_and_one_that_cannot_start_is_an_error() -> None:
    psql = Psql(("/bin/sh", "-c", "exit 2"), current_user(), {}, 60)
    assert hold_psql(psql) == 2
    with pytest.raises(RepriseError, match="could not be started"):
        hold_psql(replace(psql, command=("/nowhere/psql",)))
