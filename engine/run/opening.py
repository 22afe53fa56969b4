"""Opening the system to its users again after a restore in place: the site's own command starts the application."""

from pathlib import Path

from engine.records.errors import RepriseError
from engine.run import folder as folders
from engine.run.answers import answers_of_the_dead
from engine.run.journal import Journal
from engine.run.locks import take_lock
from engine.run.story import Story
from engine.steps.shared.commands import run_site_command


def open_application(folder: Path) -> None:
    """Run the site's ``application.start``. Raises RepriseError where the run does not allow it, or the command's own
    words where it fails. Done once, it is not done again."""
    lock = take_lock(folder / folders.LOCK, folder.name, f"an engine of {folder.name} lives")
    try:
        folders.read_run(folder)
        site = folders.read_run_site(folder)
        story = Story()
        journal = Journal(folder / folders.JOURNAL, story.hear)
        try:
            if story.facts.get("application_opened"):
                return
            accepted = answers_of_the_dead(folders.read_plan(folder), site, story)
            if "open" not in accepted:
                raise RepriseError(
                    f"{folder.name} has nothing to open",
                    cause="only a completed restore in place of a site with [application] start can be opened",
                )
            with (folder / folders.LOG).open("a") as log:
                run_site_command(site.application.start, "[application] start", lambda line: print(line, file=log))
            journal.append("fact", {"step": "open", "found": {"application_opened": True}})
        finally:
            journal.close()
    finally:
        lock.release()
