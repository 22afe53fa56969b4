"""From the command line to a running server that holds exactly the commits up to the target."""

import json
import random
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from engine.records.lsn import format_lsn, parse_lsn
from tests.clusters import Cluster, Ended, processes_below, wait_until
from tests.end_to_end.operator import Operator, operator_for
from tests.histories import History

REPORT_KEYS = {
    "target", "backup", "timeline", "wal", "kept_until", "lost_from", "lost_commits", "bytes_to_copy",
    "estimate_seconds", "media", "steps", "checks", "run", "outcome", "data_dir", "host", "port", "reached", "error",
}  # fmt: skip


@pytest.fixture
def operator(history: History, open_dir: Path) -> Operator:
    return operator_for(history.cluster, open_dir)


def _ends(cluster: Cluster, timeline: int) -> list[Ended]:
    return [end for end in cluster.ends(timeline) if end.timeline == timeline]


def _expected(history: History, lsn: int, timeline: int) -> set[int]:
    return history.cluster.rows_before(lsn, timeline, history.fork)


def test_the_catalog_names_every_backup_range_gap_timeline_and_restore_point(
    operator: Operator, history: History
) -> None:
    document = operator.ask("catalog", expect=0).document
    assert set(document) >= {
        "site", "base_backups", "wal_ranges", "gaps", "timelines", "restore_points", "dumps", "media_snapshots",
        "problems",
    }  # fmt: skip
    assert {backup["id"] for backup in document["base_backups"]} == set(history.backups.values())
    assert all(backup["usable"] for backup in document["base_backups"])
    assert [line["timeline"] for line in document["timelines"]] == [1, 2]
    assert document["timelines"][1]["fork_lsn"] == format_lsn(history.fork)
    names = [point["name"] for point in document["restore_points"]]
    assert names == [name for name, _ in history.restore_points]
    assert document["gaps"] == []


def test_every_window_edge_can_be_restored_to(operator: Operator) -> None:
    for window in operator.ask("windows", expect=0).document["windows"]:
        words = ["--timeline", str(window["timeline"]), "--backup", window["backup"], "--into", operator.copy_to()]
        planned = operator.ask("plan", "--lsn", window["to"]["lsn"], *words, expect=0).document
        assert planned["kept_until"]["at"] <= window["to"]["at"]
    assert not operator.copy_to().exists()


@pytest.mark.parametrize("kind", ["plain", "tar.gz", "incremental", "second timeline"])
def test_a_side_copy_holds_exactly_the_commits_up_to_the_target(
    operator: Operator, history: History, kind: str
) -> None:
    if kind not in history.backups:
        pytest.skip(f"this PostgreSQL {history.cluster.programs.version} cannot make a backup of the kind {kind}")
    backup = history.backups[kind]
    window = next(
        each
        for each in reversed(operator.ask("windows", expect=0).document["windows"])
        if each["backup"] == backup and each["timeline"] == (2 if kind == "second timeline" else 1)
    )
    commits = [
        end
        for end in _ends(history.cluster, window["timeline"])
        if (end.kind == "COMMIT" and parse_lsn(window["from"]["lsn"]) < end.lsn < history.before_accident)
        or (end.kind == "COMMIT" and window["timeline"] == 2 and end.lsn > parse_lsn(window["from"]["lsn"]))
    ]
    target = random.Random(kind).choice(commits[1:-1])
    report = operator.call(
        "restore", "--xid", str(target.xid), "--exclusive", "--backup", backup, "--timeline", str(window["timeline"]),
        "--into", operator.copy_to(), "--yes", expect=0,
    ).document  # fmt: skip
    assert set(report) >= REPORT_KEYS
    assert report["outcome"] == "completed"
    assert report["backup"] == backup
    assert report["reached"]["proven"] is True
    assert report["lost_from"]["xid"] == target.xid
    assert report["lost_from"]["lsn"] == format_lsn(target.lsn)
    assert operator.rows(report) == _expected(history, target.lsn, window["timeline"])


def test_at_the_gate_the_operator_looks_moves_on_and_finishes(operator: Operator, history: History) -> None:
    commits = [end for end in _ends(history.cluster, 1) if end.kind == "COMMIT" and end.lsn < history.before_accident]
    first, second = commits[-40], commits[-5]
    paused = operator.call(
        "restore", "--lsn", format_lsn(first.lsn), "--exclusive", "--timeline", "1", "--into", operator.copy_to(),
        "--action", "pause", "--yes", expect=4,
    ).document  # fmt: skip
    assert paused["outcome"] == "paused"
    assert operator.rows(paused) == _expected(history, first.lsn, 1)
    again = operator.call(
        "advance", paused["run"], "--time", second.at.isoformat(), "--exclusive", "--timeline", "1", "--yes", expect=4
    ).document
    moved = next(end for end in _ends(history.cluster, 1) if end.at >= second.at and end.lsn > first.lsn)
    assert operator.rows(again) == _expected(history, moved.lsn, 1)
    finished = operator.ask("finish", paused["run"], "--yes", expect=0).document
    assert finished["outcome"] == "completed"
    assert finished["reached"]["new_timeline"] == 3
    assert operator.rows(finished) == _expected(history, moved.lsn, 1)


def test_a_copy_is_harmless_also_after_a_plain_start(operator: Operator, history: History) -> None:
    archived = history.cluster.segments()
    report = operator.call("restore", "--latest", "--into", operator.copy_to(), "--yes", expect=0).document
    operator.ask("stop", report["run"], "--yes", expect=0)
    cluster = history.cluster
    cluster.run("pg_ctl", "-D", report["data_dir"], "-w", "-l", str(cluster.root / "plain.log"), "start")
    try:
        from engine.postgres.connecting import connect

        with connect(host=report["host"], port=report["port"], user="postgres", as_user=cluster.user) as connection:
            value = {
                name: connection.execute(f"SHOW {name}").fetchone()[0]  # type: ignore[index, call-overload]
                for name in ("archive_mode", "listen_addresses", "primary_conninfo", "archive_cleanup_command")
            }
            connection.execute("SELECT pg_switch_wal()")
        assert value["archive_mode"] == "off"
        assert (value["listen_addresses"], value["primary_conninfo"], value["archive_cleanup_command"]) == ("", "", "")
        assert cluster.segments() == archived
    finally:
        cluster.run("pg_ctl", "-D", report["data_dir"], "-w", "-m", "fast", "stop")


def test_a_refusal_says_why_and_creates_nothing(operator: Operator, history: History) -> None:
    last = _ends(history.cluster, 2)[-1]
    late = (last.at + timedelta(hours=1)).isoformat()
    said = operator.call("restore", "--time", late, "--timeline", "2", "--into", operator.copy_to(), "--yes", expect=3)
    assert said.document["outcome"] == "refused"
    assert said.document["run"] is None
    check = next(check for check in said.document["checks"] if check["name"] == "target-past-end")
    assert (check["ok"], check["level"]) == (False, "refuse")
    assert not operator.copy_to().exists()
    assert operator.ask("runs", expect=0).document["runs"] == []
    # the remedy is an exact command that works
    words = check["remedy"].split("reprise restore ")[1].split()
    assert operator.ask("plan", *words, expect=0).document["outcome"] == "planned"


def test_an_occupied_destination_is_refused_and_left_as_it_was(operator: Operator) -> None:
    place = operator.copy_to()
    place.mkdir()
    (place / "precious").write_text("x")
    operator.call("restore", "--latest", "--timeline", "2", "--into", place, "--yes", expect=3)
    assert [path.name for path in place.iterdir()] == ["precious"]


def test_a_copy_among_the_backups_or_in_the_archive_is_refused(operator: Operator, history: History) -> None:
    for place in (history.cluster.archive, history.cluster.backups, history.cluster.data_dir):
        said = operator.ask("plan", "--latest", "--timeline", "2", "--into", place / "copy", expect=3)
        check = next(check for check in said.document["checks"] if check["name"] == "destination")
        assert str(place) in check["finding"]
        assert not (place / "copy").exists()


def test_wrong_usage_and_a_wrong_site_file_exit_with_2_and_one_document(operator: Operator, tmp_path: Path) -> None:
    operator.ask("plan", "--time", "2026-11-22T14:03:10", "--into", "/x", expect=2)
    operator.ask("plan", "--latest", "--exclusive", "--into", "/x", expect=2)
    operator.call("restore", "--latest", "--into", operator.copy_to(), expect=2)  # no --yes and no terminal
    assert not operator.copy_to().exists()
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[site]\nnam = 'x'\n")
    done = subprocess.run(
        operator.command("catalog", "--site", wrong),
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 2
    assert "site.nam" in json.loads(done.stdout)["error"]["message"]


def test_a_detached_run_goes_on_alone_and_can_be_followed(operator: Operator, history: History) -> None:
    started = operator.call(
        "restore", "--latest", "--timeline", "2", "--into", operator.copy_to(), "--detach", "--yes", expect=0
    ).document
    assert started["outcome"] == "running"
    assert started["pid"]
    report = operator.ask("attach", started["run"], expect=0).document
    assert report["outcome"] == "completed"
    end = _ends(history.cluster, 2)[-1]
    assert operator.rows(report) == _expected(history, end.lsn + 1, 2)
    listed = operator.ask("runs", expect=0).document["runs"]
    assert [(run["run"], run["outcome"], run["pid"]) for run in listed] == [(started["run"], "completed", None)]


def test_discard_deletes_the_copy_its_server_and_nothing_else(operator: Operator) -> None:
    report = operator.call(
        "restore", "--latest", "--timeline", "2", "--into", operator.copy_to(), "--yes", expect=0
    ).document
    before = sorted(path.name for path in operator.home.iterdir() if path != operator.copy_to())
    operator.ask("discard", report["run"], "--yes", expect=0)
    assert not operator.copy_to().exists()
    wait_until(lambda: not processes_below(operator.copy_to()), "the copy's server did not end")
    assert sorted(path.name for path in operator.home.iterdir()) == before
