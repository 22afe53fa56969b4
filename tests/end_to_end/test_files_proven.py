"""The last word on the files of a restore, on a real cluster: what was listed as nobody's stops nothing, whatever else
is missing or wrong does, before anybody comes in; then the operator checks again, goes on, or goes back."""

import random
from pathlib import Path

import pytest

from engine.run.folder import read_run
from tests.clusters import Cluster
from tests.end_to_end.documents import System, after_an_accident, make_system
from tests.end_to_end.dying import Dying
from tests.end_to_end.middle import start_run

LATE = "2026/11/27/late.pdf"


@pytest.fixture
def system(cluster: Cluster, open_dir: Path) -> System:
    return make_system(cluster, open_dir)


def ask_for(system: System, query: str) -> None:
    """The site's question for what the database refers to."""
    site = system.operator.site
    text = site.read_text()
    before = next(line for line in text.splitlines() if line.startswith("references"))
    site.write_text(text.replace(before, f'references = "{query}"'))


def only_once_open(system: System, row: str) -> None:
    """One more row that shows only when recovery is over: what the gate could not tell. Its id is 17."""
    ask_for(
        system,
        f"SELECT path, size, sha256, 1 AS id FROM attachments UNION ALL SELECT {row}, 17 WHERE NOT pg_is_in_recovery()",
    )


def restored(system: System, target: str, *words: str | Path, expect: int) -> dict[str, object]:
    where = words or ("--in-place",)
    return system.operator.ask("restore", "--name", target, *where, "--yes", expect=expect).document


def check_of(report: dict[str, object]) -> dict[str, object]:
    checks = report["checks"]
    assert isinstance(checks, list)
    return next(check for check in reversed(checks) if check["name"] == "files")


def test_what_nobody_has_was_listed_at_the_gate_and_is_told_loudly_but_fails_nothing(system: System) -> None:
    target, _ = after_an_accident(system)
    (system.media / LATE).unlink()
    said = system.operator.ask("restore", "--name", target, "--in-place", "--yes", expect=0)
    assert said.document["outcome"] == "completed"
    assert check_of(said.document)["level"] == "warn" and check_of(said.document)["ok"] is False
    assert "1 were listed before" in str(check_of(said.document)["finding"])
    told = said.errors.splitlines()[-1]
    assert told.startswith("reprise: 1 file could not be brought back") and f"files lost {said.document['run']}" in told
    listed = said.document["files"]["check"]
    assert (listed["listed"], listed["missing"], listed["wrong"]) == (1, 0, 0)


def test_a_file_that_is_missing_without_a_word_before_fails_the_run_until_it_is_there(system: System) -> None:
    target, _ = after_an_accident(system)
    only_once_open(system, "'2026/new.pdf', 3, NULL::bytea")
    report = restored(system, target, expect=1)
    run, error = report["run"], report["error"]
    assert report["outcome"] == "failed" and isinstance(error, dict)
    assert "1 are missing and 0 wrong" in error["message"] and error["cause"] == "2026/new.pdf (missing): id 17"
    for word in ("resume", "skip", "rollback"):
        assert f"reprise {word} {run}" in error["remedy"]
    steps = {step["name"]: step["outcome"] for step in report["steps"]}  # type: ignore[attr-defined]
    assert (steps["check-files"], steps["open"]) == ("failed", "to do")
    assert check_of(report)["level"] == "refuse"
    assert system.operator.ask("resume", str(run), "--yes", expect=1).document["outcome"] == "failed"
    (system.media / "2026/new.pdf").write_text("new")
    done = system.operator.ask("resume", str(run), "--yes", expect=0).document
    assert done["outcome"] == "completed" and check_of(done)["ok"] is True


def test_the_operator_goes_on_with_what_is_wrong_or_back(system: System) -> None:
    target, _ = after_an_accident(system)
    before = system.files()
    site = system.operator.site.read_text()
    only_once_open(system, "'2026/there.pdf', 4, NULL::bytea")
    run = str(restored(system, target, expect=1)["run"])
    system.operator.ask("rollback", run, "--yes", expect=0)
    assert system.files() == before
    system.operator.site.write_text(site)
    ask_for(
        system,
        "SELECT path, CASE WHEN pg_is_in_recovery() THEN size ELSE 7 END FROM attachments WHERE path LIKE '%/3.pdf'",
    )
    failed = restored(system, target, expect=1)
    assert "0 are missing and 1 wrong" in str(failed["error"])
    assert "it has 2000 bytes, the database says 7" in str(failed["error"])
    done = system.operator.ask("skip", str(failed["run"]), "--yes", expect=0).document
    assert done["outcome"] == "completed"
    assert check_of(done)["ok"] is False and str(check_of(done)["finding"]).endswith("the operator went on as it is")
    told = (system.operator.home / "state" / "runs" / str(failed["run"]) / "report.md").read_text()
    assert "1 missing or wrong when they were checked last" in told
    system.operator.ask("skip", str(failed["run"]), "--yes", expect=2)


def test_what_could_be_asked_only_once_it_was_open_is_listed_then_and_only_what_is_wrong_fails(system: System) -> None:
    target, _ = after_an_accident(system)
    (system.media / LATE).unlink()
    silent = "1 / (CASE WHEN pg_is_in_recovery() THEN 0 ELSE 1 END) = 1"
    ask_for(system, f"SELECT path, size, sha256 FROM attachments WHERE {silent}")
    report = restored(system, target, expect=0)
    files = report["files"]
    assert isinstance(files, dict)
    assert any("could not say" in each for each in files["findings"])
    assert [(each["path"], each["rows"]) for each in files["unrecoverable_sample"]] == [(LATE, 1)]
    system.operator.ask("rollback", str(report["run"]), "--yes", expect=0)
    ask_for(system, f"SELECT path, 7 FROM attachments WHERE path LIKE '%/3.pdf' AND {silent}")
    assert "0 are missing and 1 wrong" in str(restored(system, target, expect=1)["error"])


def test_what_it_could_not_say_and_the_snapshots_have_only_older_comes_back_from_what_was_set_aside(
    system: System,
) -> None:
    """It changed after the snapshot and before the moment: the live folder alone had it."""
    system.operator.ask("backup", "media", expect=0)
    system.upload("2026/11/27/1.pdf")
    target, then = system.moment(), system.files()
    system.upload("2026/11/27/2.pdf")
    system.cluster.switch()
    ask_for(
        system,
        "SELECT path, size, sha256 FROM attachments WHERE 1 / (CASE WHEN pg_is_in_recovery() THEN 0 ELSE 1 END) = 1",
    )
    before = system.files()
    report = restored(system, target, expect=0)
    assert check_of(report)["ok"] is True and system.files() == then
    notes = report["notes"]
    assert isinstance(notes, list)
    assert [each["text"] for each in notes if "1 that were missing or wrong" in each.get("text", "")]
    system.operator.ask("rollback", str(report["run"]), "--yes", expect=0)
    assert system.files() == before


def test_killed_in_the_check_a_run_goes_on_without_it_where_the_operator_says_so(system: System) -> None:
    target, then = after_an_accident(system)
    begun = start_run(system.operator, "--name", target, "--in-place")
    system.operator.kill_engine(begun.state.pid or 0)
    Dying(begun.folder, random.Random(0)).kill_in("check-files")
    run = begun.folder.name
    assert "skip" in read_run(begun.folder).answers
    done = system.operator.ask("skip", run, "--yes", expect=0).document
    assert done["outcome"] == "completed" and system.files() == then
    assert check_of(done)["ok"] is None and "the operator skipped that" in str(check_of(done)["finding"])


def test_where_the_database_cannot_be_asked_at_all_that_is_told_and_the_run_completes(system: System) -> None:
    target, _ = after_an_accident(system)
    ask_for(system, "SELECT path FROM nothing_of_that_name")
    report = restored(system, target, expect=0)
    assert report["outcome"] == "completed" and check_of(report)["ok"] is None


def test_a_side_copys_files_are_proven_too_and_it_is_served_after_that(system: System) -> None:
    target, _ = after_an_accident(system)
    (system.media / LATE).unlink()
    copy = system.operator.copy_to()
    only_once_open(system, "'2026/new.pdf', 3, NULL::bytea")
    failed = restored(system, target, "--into", copy, "--files", expect=1)
    assert "1 are missing and 0 wrong" in str(failed["error"])
    (copy / "media/2026/new.pdf").write_text("new")
    said = system.operator.ask("resume", str(failed["run"]), "--yes", expect=0)
    assert f"files lost {failed['run']}" in said.errors
    assert check_of(said.document)["ok"] is False and said.document["host"]


@pytest.mark.parametrize("place", [(), ("--delta",), ("--into", "elsewhere")])
def test_files_alone_are_proven_against_the_live_database(system: System, place: tuple[str, ...]) -> None:
    operator = system.operator
    operator.ask("backup", "media", expect=0)
    system.upload("2026/11/28/gone.pdf")
    (system.media / "2026/11/28/gone.pdf").unlink()
    (system.media / "2026/11/27/1.pdf").write_bytes(b"damaged")
    words = [str(operator.home / each) if each == "elsewhere" else each for each in place]
    folder = operator.home / "elsewhere" if words and words[0] == "--into" else system.media
    report = operator.ask("files", "restore", "--latest", *words, "--yes", expect=0).document
    assert (folder / "2026/11/27/1.pdf").read_bytes() == system.contents["2026/11/27/1.pdf"]
    listed = report["files"]["check"]
    assert (listed["listed"], listed["missing"], listed["wrong"]) == (1, 0, 0) and report["files"]["unrecoverable"] == 1
