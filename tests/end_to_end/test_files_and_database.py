"""Database and users' files brought back to one moment together, on a real cluster: what the restored rows refer to
stands there with its content, what came later does not, and nothing is lost."""

import random
from pathlib import Path

import pytest

from engine.cli import main as command_line
from tests.clusters import Cluster
from tests.end_to_end.documents import System, after_an_accident, make_system
from tests.end_to_end.dying import Dying, another, without_its_line
from tests.end_to_end.middle import start_run

STEPS = ("choose-files", "copy-files", "swap-files", "check-files")


@pytest.fixture
def system(cluster: Cluster, open_dir: Path) -> System:
    return make_system(cluster, open_dir)


def test_the_files_of_the_restored_rows_stand_there_and_a_rollback_gives_back_what_stood_before(system: System) -> None:
    target, then = after_an_accident(system)
    before = system.files()
    report = system.operator.ask("restore", "--name", target, "--in-place", "--yes", expect=0).document
    assert report["outcome"] == "completed"
    assert system.files() == then
    checked = {check["name"]: check for check in report["checks"]}
    assert checked["files"]["ok"] is True
    assert (report["files"]["copied"], report["files"]["kept"], report["files"]["unrecoverable"]) == (2, 5, 0)
    assert system.operator.ask("files", "check", expect=0).document["checked"] == 7
    aside = next(path for path in system.operator.home.iterdir() if path.name.startswith("media.before-"))
    assert (aside / "2026/11/28/after.pdf").read_bytes() == before["2026/11/28/after.pdf"]
    system.operator.ask("rollback", report["run"], "--yes", expect=0)
    assert system.files() == before
    assert system.cluster.value("SELECT count(*) FROM attachments WHERE path LIKE '2026/11/28/%'") == 1


def test_without_the_files_they_stay_as_they_are(system: System) -> None:
    target, _ = after_an_accident(system)
    before = system.files()
    report = system.operator.ask("restore", "--name", target, "--in-place", "--no-files", "--yes", expect=0).document
    assert report["outcome"] == "completed" and report["files"] is None
    assert system.files() == before


def test_a_side_copy_with_files_gets_a_folder_of_them_and_the_live_one_is_not_touched(system: System) -> None:
    target, then = after_an_accident(system)
    before, copy = system.files(), system.operator.copy_to()
    report = system.operator.ask("restore", "--name", target, "--into", copy, "--files", "--yes", expect=0).document
    assert report["outcome"] == "completed"
    found = {str(at.relative_to(copy / "media")): at.read_bytes() for at in (copy / "media").rglob("*") if at.is_file()}
    assert found == then
    assert system.files() == before
    system.operator.ask("discard", report["run"], "--yes", expect=0)
    assert not copy.exists()


def test_what_nobody_has_is_listed_with_its_rows(system: System) -> None:
    target, then = after_an_accident(system)
    (system.media / "2026/11/27/late.pdf").unlink()
    report = system.operator.ask("restore", "--name", target, "--in-place", "--yes", expect=0).document
    lost = report["files"]["unrecoverable_sample"]
    assert [(each["path"], each["rows"]) for each in lost] == [("2026/11/27/late.pdf", 1)]
    assert {check["name"]: check["ok"] for check in report["checks"]}["files"] is False
    assert "let [media] references return their key" in report["files"]["unrecoverable_note"]
    assert system.files() == {path: content for path, content in then.items() if path != "2026/11/27/late.pdf"}


def test_what_nobody_has_is_listed_with_what_names_its_rows_at_the_gate_and_after(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    operator = system.operator
    system.cluster.sql("ALTER TABLE attachments ADD id bigint GENERATED ALWAYS AS IDENTITY")
    system.cluster.sql("ALTER TABLE attachments ADD title text DEFAULT '«A»'")
    operator.site.write_text(operator.site.read_text().replace("sha256 FROM", "sha256, id, title FROM"))
    operator.ask("backup", "media", expect=0)
    paths = ["2026/11/27/late.pdf", "2026/11/27/later.pdf"]
    for path in paths:
        system.upload(path)
    system.cluster.sql(f"INSERT INTO attachments SELECT path, size, sha256 FROM attachments WHERE path = '{paths[0]}'")
    with system.cluster.connect() as connection:
        ids = [
            [row[0] for row in connection.execute("SELECT id FROM attachments WHERE path = %s ORDER BY id", (path,))]
            for path in paths
        ]
    named = [[{"id": id, "title": "«A»"} for id in each] for each in ids]
    target = system.moment()
    system.cluster.switch()
    for path in paths:
        (system.media / path).unlink()
    words = ("--name", target, "--in-place", "--action", "pause", "--yes")
    run = operator.ask("restore", *words, expect=4).document["run"]
    lost = operator.ask("files", "lost", run, expect=0).document
    assert (lost["run"], [(each["path"], each["row_samples"]) for each in lost["lost"]]) == (
        run,
        [*zip(paths, named, strict=True)],
    )
    report = operator.ask("finish", run, "--yes", expect=0).document
    told = report["files"]["unrecoverable_sample"]
    assert [(each["path"], each["rows"], each["row_samples"]) for each in told] == [
        (paths[0], 2, named[0]),
        (paths[1], 1, named[1]),
    ]
    assert report["files"]["unrecoverable_note"] is None
    assert operator.ask("files", "lost", run, expect=0).document == lost
    page = (operator.home / "state" / "runs" / run / "report.md").read_text()
    assert f'2 rows: id {ids[0][0]}, title "«A»"; id {ids[0][1]}, title "«A»"' in page
    checked = operator.ask("files", "check", expect=1).document["missing"]
    assert [(each["path"], each["row_samples"]) for each in checked] == [*zip(paths, named, strict=True)]
    options = ["--site", str(operator.site), "--state", str(operator.home / "state")]
    assert command_line([*options, "report", run], open_screen=lambda: 0) == 0
    assert f'        id {ids[1][0]}, title "«A»"\n' in capsys.readouterr().out


def test_a_second_restore_to_a_later_moment_finds_what_the_first_has_set_aside(system: System) -> None:
    """The first went too far back: what came in between is in no snapshot, and not in the live folder any more."""
    operator, path = system.operator, "2026/11/28/between.pdf"
    operator.ask("backup", "media", expect=0)
    system.cluster.sql("SELECT pg_create_restore_point('too-early')")
    system.upload(path)
    target, then = system.moment(), system.files()
    system.cluster.switch()
    first = operator.ask("restore", "--name", "too-early", "--in-place", "--yes", expect=0).document
    assert path not in system.files()
    words = ("--name", target, "--timeline", "1", "--in-place")
    second = operator.ask("restore", *words, "--yes", expect=0).document
    aside = first["files"]["set_aside"]
    assert (second["files"]["unrecoverable"], system.files()) == (0, then)
    assert any("set aside" in each and path in each for each in second["files"]["findings"])
    assert (Path(aside) / path).read_bytes() == then[path]
    assert (system.media / path).stat().st_nlink == 1  # a copy, nothing shared
    operator.ask("rollback", second["run"], "--yes", expect=0)
    assert path not in system.files()
    planned = operator.ask("plan", *words, expect=0).document
    folder = Path(planned["files"]["earlier"][0])
    assert (folder / path).exists() and folder.name.startswith(".media.") and planned["files"]["earlier"][1] == aside


def test_what_the_database_could_not_say_at_its_gate_comes_back_from_what_an_earlier_restore_has_set_aside(
    system: System,
) -> None:
    """At the gate the question fails: only what the snapshots hold comes back, until the files' check can ask."""
    operator, path = system.operator, "2026/11/28/between.pdf"
    operator.ask("backup", "media", expect=0)
    system.cluster.sql("SELECT pg_create_restore_point('too-early')")
    system.upload(path)
    target, then = system.moment(), system.files()
    system.cluster.switch()
    first = operator.ask("restore", "--name", "too-early", "--in-place", "--yes", expect=0).document
    only_open = " WHERE 1 / (CASE WHEN pg_is_in_recovery() THEN 0 ELSE 1 END) = 1"
    operator.site.write_text(operator.site.read_text().replace("FROM attachments", f"FROM attachments{only_open}"))
    words = ("--name", target, "--timeline", "1", "--in-place", "--yes")
    second = operator.ask("restore", *words, expect=0).document
    assert any("could not say" in each for each in second["files"]["findings"])
    assert {check["name"]: check["ok"] for check in second["checks"]}["files"] is True
    assert system.files() == then
    aside = Path(first["files"]["set_aside"])
    assert (aside / path).read_bytes() == then[path] and (system.media / path).stat().st_nlink == 1
    assert [each["text"] for each in second["notes"] if str(aside) in each.get("text", "")] == [
        f"brought back from {aside}: 1 that were missing"
    ]
    operator.ask("rollback", second["run"], "--yes", expect=0)
    assert path not in system.files() and (aside / path).exists()


@pytest.mark.slow
def test_the_engine_killed_in_any_step_of_the_files_is_rolled_back_or_resumed(system: System) -> None:
    """One plan: with rollback a run for each step; the last one is killed in all of them, and resumed."""
    target, then = after_an_accident(system)
    before = system.files()
    begun = start_run(system.operator, "--name", target, "--in-place")
    system.operator.kill_engine(begun.state.pid or 0)
    Dying(begun.folder, random.Random(0)).take_back()
    for step in STEPS:
        dying = Dying(another(begun.folder), random.Random(step))
        dying.kill_in(step)
        dying.take_back()
        without_its_line(system.cluster.archive, 2)
        assert system.files() == before, step
    dying = Dying(another(begun.folder), random.Random(1))
    for step in STEPS:
        dying.kill_in(step)
    assert dying.end().outcome == "completed"
    assert system.files() == then


def test_the_gate_shows_what_will_come_back_again_after_an_advance_and_files_are_checked_there_and_after(
    system: System,
) -> None:
    operator, media = system.operator, system.media
    operator.ask("backup", "media", expect=0)
    target, copy = system.moment(), operator.copy_to()
    system.upload("2026/11/28/after.pdf")
    system.cluster.sql("SELECT pg_create_restore_point('later')")
    system.cluster.switch()
    then = system.files()
    for path in ("2026/11/27/2.pdf", "2026/11/28/after.pdf"):
        (media / path).unlink()
    words = ("--name", target, "--into", copy, "--files", "--action", "pause", "--yes")
    report = operator.ask("restore", *words, expect=4).document
    run, files = report["run"], report["files"]
    assert [step["name"] for step in report["steps"] if step["outcome"] == "to do"][:1] == ["copy-files"]
    assert (files["copied"], files["bytes"], files["unrecoverable"], files["unrecoverable_rows"]) == (6, 12000, 0, 0)
    checked = operator.ask("files", "check", "--against", run, expect=1).document  # of the gate's rows, live files
    assert [each["path"] for each in checked["missing"]] == ["2026/11/27/2.pdf"] and checked["checked"] == 6
    operator.ask("advance", run, "--name", "later", "--yes", expect=4)
    files = operator.ask("report", run).document["files"]
    assert (files["copied"], files["unrecoverable"], files["unrecoverable_rows"]) == (6, 1, 1)
    assert operator.ask("finish", run, "--yes", expect=0).document["outcome"] == "completed"
    checked = operator.ask("files", "check", "--against", run, expect=1).document  # of the copy, and its own files
    assert [each["path"] for each in checked["missing"]] == ["2026/11/28/after.pdf"] and checked["checked"] == 7
    found = {str(at.relative_to(copy / "media")): at.read_bytes() for at in (copy / "media").rglob("*") if at.is_file()}
    del then["2026/11/28/after.pdf"]
    assert found == then
    operator.ask("discard", run, "--yes", expect=0)
