"""`roles`: the roles that the dump knows and the cluster lacks are made, as they were, passwords included. Those that
are there stay as they are, and are named. Undo drops what was made here."""

from pathlib import Path

from engine.dumps.roles import Role, read_roles, sets_parameter
from engine.postgres.databases import drop_role, missing_roles, run_setting, run_statement
from engine.records.errors import RepriseError
from engine.steps.loading.common import connection_to, loading_of
from engine.steps.protocol import RunningStep
from engine.transfer.failures import reading


def apply(step: RunningStep) -> None:
    loading = loading_of(step)
    if loading.roles is None:
        step.note(text="the dump was taken without its roles: owners that this cluster lacks will be missing")
        return
    with reading(loading.roles):
        roles = read_roles(Path(loading.roles).read_text("utf-8"))
    with connection_to(step) as connection:
        lacking = missing_roles(connection, [role.name for role in roles])
        made = {name for record in step.undo_records for name in record["roles"]}
        if lacking - made:
            step.before(roles=sorted(lacking - made))
        _make(step, [role for role in roles if role.name in lacking])
    stay = sorted(role.name for role in roles if role.name not in lacking | made)
    if lacking:
        step.note(text=f"roles made: {', '.join(sorted(lacking))}")
    if stay:
        step.note(text=f"roles that are there stay as they are, passwords too: {', '.join(stay[:20])}")


def _make(step: RunningStep, roles: list[Role]) -> None:
    with connection_to(step) as connection, connection.transaction():
        for role in roles:
            for statement in role.statements:
                if not sets_parameter(statement):
                    run_statement(connection, statement)
                elif told := run_setting(connection, statement):
                    step.note(text=f"a setting of the role {role.name} was left out: {told}")
        for role in roles:
            for statement in role.memberships:
                run_statement(connection, statement)


def undo(step: RunningStep) -> None:
    with connection_to(step) as connection:
        for record in step.undo_records:
            for name in record["roles"]:
                try:
                    drop_role(connection, name)
                except RepriseError as error:  # somebody uses it by now: it stays, and is told
                    step.note(text=f"{error.message}: {error.cause}")
