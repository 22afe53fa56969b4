"""`ask-database`: the site's own questions, asked of the fresh database before it takes the present one's place."""

from engine.postgres.connecting import QueryFailed
from engine.records.errors import RunFailed
from engine.records.plan import Check
from engine.steps.inspect import ACCEPTED
from engine.steps.loading.common import connection_to, loading_of
from engine.steps.protocol import RunningStep


def apply(step: RunningStep) -> None:
    """Raises RunFailed where a question is not answered with true, unless the operator has accepted that."""
    failed = []
    with connection_to(step, loading_of(step).fresh) as connection:
        for question in step.site.verify.sql:
            step.safe_point()
            try:
                row = connection.execute(question).fetchone()
                answer = row[0] if row else None
                told = f"{question}: {answer}"
            except QueryFailed as failure:
                answer, told = None, f"{question}: {str(failure).strip()}"
            step.check(Check("verify", "refuse", answer is True, told, None))
            if answer is not True:
                failed.append(told)
    if failed and not (step.run_dir / ACCEPTED).exists():
        run = step.run_dir.name
        raise RunFailed(
            f"{len(failed)} of {len(step.site.verify.sql)} questions of the site are not answered with true",
            cause=failed[0],
            remedy=f"reprise rollback {run}, or to go on all the same: reprise resume {run} --accept-checks",
        )


def undo(step: RunningStep) -> None:
    """Asking leaves nothing behind."""
