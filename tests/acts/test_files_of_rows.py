"""The files of a database row, asked of a real server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import cli
from engine.acts import browsing
from engine.acts.browsing import files_of_rows
from engine.acts.desk import Desk
from engine.records.errors import RepriseError, Unreachable, UsageError
from tests.acts.files_site import FilesSite
from tests.clusters import Cluster, make_cluster

QUERY = "SELECT path, size, sha256 FROM attachments -- 100% of them;"


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    cluster = make_cluster("rows")
    try:
        cluster.sql("CREATE TABLE attachments (path text, size bigint, sha256 bytea)")
        cluster.sql("CREATE SEQUENCE numbers")
        for path in ("2026/12/Invoice 7.pdf", "2026/12/Invoice 8.pdf", "2026/11/a_b.pdf", "../out.pdf"):
            cluster.sql("INSERT INTO attachments VALUES (%s, 7, NULL)", f"/uploads/{path}")
        yield cluster
    finally:
        cluster.destroy()


def desk_of(server: Cluster, home: Path, references: str | None = QUERY) -> Desk:
    database = f"""data_dir = "{server.data_dir}"
host = "{server.socket_dir}"
port = {server.port}
run_as = "{server.user.name}"
"""
    media = f'strip_prefix = "/uploads/"\nreferences = {json.dumps(references)}' if references else ""
    return FilesSite(home, database, media).desk()


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("invoice", [b"2026/12/Invoice 7.pdf", b"2026/12/Invoice 8.pdf"]),
        ("8.PDF  invoice", [b"2026/12/Invoice 8.pdf"]),
        ("a_b", [b"2026/11/a_b.pdf"]),
        ("12_Inv", []),
        ("%", []),
        ("'; DROP TABLE attachments; --", []),
    ],
)
def test_rows_with_all_these_words_name_their_files(
    server: Cluster, tmp_path: Path, text: str, paths: list[bytes]
) -> None:
    found, all_of_them = files_of_rows(desk_of(server, tmp_path), text)
    assert ([each.path for each in found], all_of_them) == (paths, True)


def test_what_names_the_row_is_searched_and_told_too(server: Cluster, tmp_path: Path) -> None:
    query = "SELECT path, NULL, NULL, 17 AS id, 'Deed of ' || path AS title, path AS path FROM attachments"
    found, _ = files_of_rows(desk_of(server, tmp_path, query), "deed 7.pdf")
    assert [(each.path, [dict(row) for row in each.named]) for each in found] == [
        (
            b"2026/12/Invoice 7.pdf",
            [{"id": 17, "title": "Deed of /uploads/2026/12/Invoice 7.pdf", "path": "/uploads/2026/12/Invoice 7.pdf"}],
        )
    ]


def test_the_command_line_finds_them_as_the_screen_does(
    server: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    desk_of(server, tmp_path, "SELECT path, size, sha256, 17 AS id FROM attachments")
    words = ["--site", str(tmp_path / "site.toml"), "--state", str(tmp_path / "state"), "files", "find"]
    assert cli.main([*words, "invoice", "8.PDF", "--json"], open_screen=lambda: 0) == 0
    found = {"path": "2026/12/Invoice 8.pdf", "size": 7, "sha256": None, "rows": 1, "row_samples": [{"id": 17}]}
    assert json.loads(capfd.readouterr().out) == {"files": [found], "all": True}
    assert cli.main([*words, "invoice"], open_screen=lambda: 0) == 0
    assert "2026/12/Invoice 7.pdf  7 Bytes  1 row\n        id 17\n" in capfd.readouterr().out
    assert cli.main([*words, "nobody's"], open_screen=lambda: 0) == 0
    assert capfd.readouterr().out == "no row has that in it\n"
    assert cli.main([*words, " "], open_screen=lambda: 0) == 2


def test_no_more_rows_come_than_can_be_looked_up(
    server: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "_MOST_ROWS", 1)
    found, all_of_them = files_of_rows(desk_of(server, tmp_path), "invoice")
    assert len(found) == 1 and not all_of_them


def test_a_query_that_takes_too_long_or_fails_or_writes_is_one_error(
    server: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "_ROWS_SECONDS", 0.2)
    queries = {
        "SELECT path FROM attachments, pg_sleep(30)": (Unreachable, "too long"),
        "SELECT path FROM nowhere": (RepriseError, "failed"),
        "SELECT path FROM attachments, nextval('numbers')": (RepriseError, "failed"),
    }
    for number, (query, (kind, said)) in enumerate(queries.items()):
        home = tmp_path / str(number)
        home.mkdir()
        with pytest.raises(kind, match=said):
            files_of_rows(desk_of(server, home, query), "invoice")


def test_a_site_that_does_not_say_what_is_referred_to_is_told_so(server: Cluster, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not say"):
        files_of_rows(desk_of(server, tmp_path, None), "x")
