"""How a run stands, and which acts it accepts: told from its plan, its site and its journal.

The engine asks before it acts, readers before they offer an act.
"""

from engine.records.plan import Plan
from engine.records.runs import RunOutcome
from engine.run.story import Story
from engine.site import Site
from engine.steps import CHECKING, READING, SERVED, THROWING


def outcome_of(story: Story, *, alive: bool) -> RunOutcome:
    if story.ended is not None:
        ended: RunOutcome = story.ended  # type: ignore[assignment]
        return ended
    if not alive:
        return "interrupted"
    return "paused" if story.waiting else "running"


def answers_of_the_dead(plan: Plan, site: Site, story: Story) -> tuple[str, ...]:
    """Which acts the run accepts where no engine of it lives."""
    return answers(plan, site, story, outcome_of(story, alive=False))


def answers(plan: Plan, site: Site, story: Story, outcome: RunOutcome) -> tuple[str, ...]:
    """Which acts the run accepts now."""
    in_place = plan.destination.kind in ("in-place", "database")
    files = plan.files if plan.destination.kind == "files" else None
    opened = bool(story.facts.get("application_opened"))
    to_open = ("open",) if in_place and site.application.start and not opened else ()
    reading = [step for step in plan.steps if step.kind in READING and story.step(step.name).outcome != "done"]
    to_skip = ("skip",) if (reading and site.verify.pages) or _checks_files(plan, story) else ()
    match outcome:
        case "running":
            return ("cancel", "go-on" if story.held else "hold", *to_skip)
        case "paused":
            return ("finish", "advance", "cancel")
        case "completed" | "failed" if _thrown_away(plan, story):
            return ()
        case "failed" | "interrupted":
            begun = story.acts - {"apply"}
            return ("discard",) if "discard" in begun else ("rollback",) if begun else ("resume", "rollback", *to_skip)
        case "completed" if plan.copying is not None:
            return ()  # the copy is the repository's now: expire takes it away when its time has come
        case "completed" if files is not None:
            return ("discard",) if files.place == "into" else ("rollback", "discard")
        case "completed":
            return ("rollback", "discard", *to_open) if in_place else ("stop", "start", "discard")
        case "rolled-back":
            return ("discard",) if kept_copy(plan, story) else ()
        case "discarded":
            return to_open if "rollback" not in story.acts else ()
    return ()  # an outcome that a newer engine wrote


def _checks_files(plan: Plan, story: Story) -> bool:
    """Whether the run is in the files' check, has failed or was stopped there."""
    asked = plan.files is not None and plan.files.asked is not None
    return asked and any(
        step.kind in CHECKING and story.step(step.name).outcome in ("running", "failed") for step in plan.steps
    )


def _thrown_away(plan: Plan, story: Story) -> bool:
    """Whether the copy of a proof drill is no more: only its report is left."""
    return any(step.kind in THROWING and story.step(step.name).outcome == "done" for step in plan.steps)


def kept_copy(plan: Plan, story: Story) -> bool:
    """Whether the recovered cluster has been opened in production's place: somebody may have written into it since,
    and a rollback sets it aside instead of deleting it."""
    return any(step.kind in SERVED and story.step(step.name).outcome != "to do" for step in plan.steps)
