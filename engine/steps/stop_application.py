"""Stop the application that works with production, with the site's own command."""

from engine.steps.protocol import RunningStep
from engine.steps.shared.commands import run_site_command


def apply(step: RunningStep) -> None:
    """Stopping what is stopped already must be no error of the site's command: it may run twice."""
    if command := step.site.application.stop:
        step.before(stopped=True)
        run_site_command(command, "[application] stop", step.log, waiting=lambda: step.progress(0, None))


def undo(step: RunningStep) -> None:
    """Start it again."""
    if step.undo_records and (command := step.site.application.start):
        run_site_command(command, "[application] start", step.log, waiting=lambda: step.progress(0, None))
