"""`files check` of a real database: the query is asked READ ONLY and as a stream, what is wrong is told, and what
cannot be asked or does not answer ends it with one error."""

import csv
import hashlib
import io
import json
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from engine import cli
from engine.acts import checking
from engine.acts.checking import check_site_files, file_findings
from engine.acts.desk import Desk, open_desk
from engine.records.errors import RepriseError, SiteError, Unreachable
from tests.clusters import Cluster, make_cluster

FILES = 50


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    cluster = make_cluster("files")
    try:
        cluster.sql("CREATE TABLE attachments (path text, size bigint, sha256 bytea)")
        yield cluster
    finally:
        cluster.destroy()


@pytest.fixture
def media(tmp_path: Path, server: Cluster) -> Path:
    media = tmp_path / "media"
    rows = []
    for number in range(FILES):
        path = media / f"{number % 3}" / f"{number}.pdf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(1000 + number))
        digest = hashlib.sha256(path.read_bytes()).digest()
        rows.append((f"/uploads/{path.relative_to(media)}", path.stat().st_size, digest))
    with server.connect() as connection:
        connection.execute("TRUNCATE attachments")
        connection.cursor().executemany("INSERT INTO attachments VALUES (%s, %s, %s)", rows)
    return media


def desk_of(server: Cluster, media: Path, references: str | None) -> Desk:
    file = media.parent / "site.toml"
    file.write_text(f"""
[site]
name = "archive"
[database]
data_dir = "{server.data_dir}"
host = "{server.socket_dir}"
port = {server.port}
run_as = "{server.user.name}"
[[database.repository]]
kind = "directory"
base_backups = "{server.backups}"
wal = "{server.archive}"
[media]
path = "{media}"
{f'strip_prefix = "/uploads/"{chr(10)}references = {json.dumps(references)}' if references else ""}
""")
    return open_desk(file, media.parent / "state")


QUERY = "SELECT path, size, sha256 FROM attachments;"


def test_missing_wrong_and_orphans_of_the_live_database(server: Cluster, media: Path) -> None:
    desk = desk_of(server, media, QUERY)
    assert check_site_files(desk).ok
    (media / "0/3.pdf").unlink()
    (media / "1/4.pdf").write_bytes(b"x")
    (media / "2/new").write_bytes(b"x")
    heard: list[tuple[str, int, int | None]] = []
    told = check_site_files(desk, progress=lambda *said: heard.append(said))
    assert (told.checked, told.missing, told.wrong, told.ok) == (FILES, 1, 1, False)
    assert [each.path for each in file_findings(told, "missing")] == [b"0/3.pdf"]
    assert heard[0] == ("asking the database", 0, None)
    assert heard[-1][:2] == ("checking", FILES)


def typed(capture: pytest.CaptureFixture[bytes], desk: Desk, *words: str) -> tuple[int, str]:
    """`files check`: its exit code, and what it says."""
    options = ["--site", str(desk.site_file), "--state", str(desk.state)]
    code = cli.main(["files", "check", *options, *words], open_screen=lambda: 0)
    return code, capture.readouterr().out.decode()


def test_documents_lines_and_exit_codes(
    server: Cluster, media: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    desk = desk_of(server, media, QUERY)
    run = partial(typed, capfdbinary, desk)
    assert run()[0] == 0
    (media / "0/3.pdf").unlink()
    (media / "1/4.pdf").write_bytes(b"x")
    code, said = run("--json")
    told = json.loads(said)
    assert code == 1
    assert told["missing"] == [{"path": "0/3.pdf", "rows": 1}]
    assert told["wrong"] == [{"path": "1/4.pdf", "why": "it has 1 bytes, the database says 1004", "rows": 1}]
    assert {key: told[key] for key in ("checked", "ok")} == {"checked": FILES, "ok": False}
    assert told["orphans"] == {"count": 0, "bytes": 0, "sample": []}
    code, said = run("--csv")
    assert [line[:2] for line in csv.reader(io.StringIO(said))][1:] == [["missing", "0/3.pdf"], ["wrong", "1/4.pdf"]]
    code, said = run()
    assert code == 1
    assert "0/3.pdf" in said
    desk_of(server, media, None)
    code, said = run("--json")
    assert code == 2
    assert "references = " in json.loads(said)["error"]["remedy"]


NAMED = """SELECT path, size, sha256, 7 AS id, E'Contract\\u202e "A"' AS title, 'infinity'::timestamptz AS until,
'{"a": 1}'::jsonb AS more, array['-infinity'::date] AS days, NULL, tstzrange('infinity', NULL) FROM attachments"""


def test_a_query_may_name_the_rows_and_whatever_their_columns_hold_they_are_told_on_one_line(
    server: Cluster, media: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Times that Python has no room for are among it."""
    desk = desk_of(server, media, NAMED)
    run = partial(typed, capfdbinary, desk)
    assert run()[0] == 0
    (media / "0/3.pdf").unlink()
    (media / "1/4.pdf").write_bytes(b"x")
    code, said = run("--json")
    assert "\u202e" not in said
    told = json.loads(said)
    assert code == 1 and told["missing"][0]["rows"] == told["wrong"][0]["rows"] == 1
    row = {"id": 7, "title": 'Contract\u202e "A"', "until": "infinity", "more": '{"a": 1}', "days": "['-infinity']"}
    (named,) = told["missing"][0]["row_samples"]
    assert {name: named[name] for name in row} == row
    assert told["wrong"][0]["row_samples"] == [named]
    line = 'id 7, title "Contract\\u202e \\"A\\"", until "infinity"'
    code, said = run("--csv")
    table = list(csv.reader(io.StringIO(said)))
    assert table[0][-1] == "row_samples" and [each[-1].startswith(line) for each in table[1:]] == [True, True]
    code, said = run()
    assert sum(each.strip().startswith(line) for each in said.splitlines()) == 2
    assert "which rows these are" not in said
    desk_of(server, media, QUERY)
    assert run()[1].count("which rows these are is not known") == 1


def test_the_query_changes_nothing_and_may_take_longer_than_other_statements(server: Cluster, media: Path) -> None:
    with pytest.raises(SiteError, match=r"media\.references"):
        check_site_files(desk_of(server, media, "DELETE FROM attachments RETURNING path"))
    server.sql(
        "CREATE OR REPLACE FUNCTION writes() RETURNS text LANGUAGE sql AS 'DELETE FROM attachments RETURNING path'"
    )
    with pytest.raises(RepriseError) as refused:
        check_site_files(desk_of(server, media, "SELECT writes()"))
    assert "read-only" in str(refused.value.cause)
    timeout = "SELECT path FROM attachments WHERE current_setting('statement_timeout') = '0'"
    assert check_site_files(desk_of(server, media, timeout)).checked == FILES


@pytest.mark.parametrize("query", ["SELECT path FROM absent", "SELECT 1 +", "WITH x AS (SELECT 1)"])
def test_a_query_that_fails_is_one_error(server: Cluster, media: Path, query: str) -> None:
    with pytest.raises(RepriseError, match=r"the query \[media\] references of the site file failed"):
        check_site_files(desk_of(server, media, query))
    assert server.value("SELECT count(*) FROM attachments") == FILES


def test_too_many_columns_and_no_references_are_mistakes_of_the_site(server: Cluster, media: Path) -> None:
    many = ", ".join(map(str, range(9)))
    for query in (f"SELECT path, size, sha256, {many} FROM attachments", None):
        with pytest.raises(SiteError):
            check_site_files(desk_of(server, media, query))


def test_a_table_that_is_locked_is_told(server: Cluster, media: Path) -> None:
    with server.connect() as other, other.transaction():
        other.execute("LOCK attachments IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Unreachable, match="locked"):
            check_site_files(desk_of(server, media, QUERY))


def test_a_folder_that_hangs_does_not_hold_the_check(
    server: Cluster, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(checking, "check_files", lambda *_, **__: let_go.wait(60))
    try:
        with pytest.raises(Unreachable, match="does not answer"):
            check_site_files(desk_of(server, media, QUERY), patience=0.2)
    finally:
        let_go.set()


def test_two_checks_of_the_same_files_do_not_disturb_each_other(server: Cluster, media: Path) -> None:
    desk = desk_of(server, media, QUERY)
    refused: list[RepriseError] = []

    def meanwhile(what: str, done: int, total: int | None) -> None:
        if not refused:
            with pytest.raises(RepriseError, match="being checked already") as refusal:
                check_site_files(desk)
            refused.append(refusal.value)

    assert check_site_files(desk, progress=meanwhile).ok
    assert len(refused) == 1
