"""Stop production's server. Where none runs, there is nothing to do."""

from engine.steps.protocol import RunningStep
from engine.steps.shared import production


def apply(step: RunningStep) -> None:
    data_dir = production.production_dir(step)
    if (running := production.how_it_runs(data_dir)) is not None:
        step.before(ran=running)
    if words := production.last_words(data_dir):
        step.fact(production_words=words)  # `open` starts it the same way
    production.stop(step, data_dir)


def undo(step: RunningStep) -> None:
    """Start it again as it was, if it ran."""
    ran = [record["ran"] for record in step.undo_records if "ran" in record]
    if ran:
        production.start_as_it_was(step, production.production_dir(step), ran[0])
