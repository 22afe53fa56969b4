"""What brings something back: a restore planned and begun, its run and what is said to that, the software's copies."""

import argparse
from collections.abc import Callable

from engine import acts
from engine.cli import arguments, documents, following, progress, telling
from engine.cli.printing import say
from engine.records.errors import UsageError
from engine.records.plan import Destination, Plan
from engine.records.runs import LIVE

Given = argparse.Namespace


def _planned(given: Given) -> tuple[acts.Desk, Plan]:
    if given.dump is not None:
        return _planned_dump(given)
    if given.beside is not None or given.database is not None:
        raise UsageError("--as and --database go with --dump")
    target = arguments.target_of(given)
    if given.in_place and given.port is not None:
        raise UsageError("--port goes with --into; in place the site's own port is used")
    if given.port is not None and not 1 <= given.port <= 65535:
        raise UsageError(f"--port: {given.port} is not a port", remedy="a number from 1 to 65535")
    desk = acts.open_desk(given.site, given.state)
    acts.read_archive(desk, progress.reading(given.json))
    if given.in_place:
        destination = Destination("in-place", desk.site.database.data_dir)
    else:
        destination = Destination("side-copy", str(given.into.absolute()), given.port)
    return desk, acts.plan(desk, target, destination, action=given.action, files=given.files)


def _planned_dump(given: Given) -> tuple[acts.Desk, Plan]:
    """A dump goes into a database of the live server: no folder, no replay."""
    if given.into is not None or given.port is not None or given.exclusive or given.backup or given.timeline:
        remedy = "reprise restore --dump ID --in-place, or --as NAME"
        raise UsageError("a dump is loaded into a database of the live server", remedy=remedy)
    if given.beside is not None and given.database is not None:
        raise UsageError("--as names the database already; --database goes with --in-place")
    desk = acts.open_desk(given.site, given.state)
    name = given.beside or given.database
    return desk, acts.plan_dump_restore(desk, given.dump, database=name, beside=given.beside is not None)


def plan(given: Given) -> int:
    desk, planned = _planned(given)
    if given.json:
        documents.write(documents.plan(planned))
    else:
        telling.plan(planned, desk.site.zone)
    return 3 if planned.refused else 0


def restore(given: Given) -> int:
    desk, planned = _planned(given)
    if planned.refused:
        if given.json:
            documents.write(documents.refusal(planned))
        else:
            telling.plan(planned, desk.site.zone)
        return 3
    if not given.json:
        telling.plan(planned, desk.site.zone)
    question = f"Build the copy in {planned.destination.path}? [yes/no] "
    if planned.loading is not None:
        question = f"Load it into the database {planned.destination.path}? [yes/no] "
    if given.in_place:
        what = f"the database {planned.destination.path}" if planned.loading is not None else "the cluster"
        question = f"This replaces {what} of site {desk.site.name!r}; the old one is set aside. Type the site's name: "
    following.confirm(given, question, desk.site.name if given.in_place else "yes")
    return following.begin(given, desk, planned)


def runs(given: Given) -> int:
    desk = acts.open_desk(given.site, given.state)
    found, problems = acts.runs(desk), acts.damaged_runs(desk)
    if given.json:
        documents.write(documents.runs(found, problems))
    else:
        telling.runs(found, problems, desk.site.zone)
    return 0


def attach(given: Given) -> int:
    desk = acts.open_desk(given.site, given.state)
    return following.follow(given, desk, acts.run_state(desk, given.run).run)


def _act(act: Callable[[acts.Desk, str], object], question: str, *, follow: bool) -> Callable[[Given], int]:
    """A command that does something with a run: asks, acts, and shows how the run stands then."""

    def command(given: Given) -> int:
        desk = acts.open_desk(given.site, given.state)
        state = acts.run_state(desk, given.run)
        following.confirm(given, question.format(run=state.run), "yes")
        act(desk, state.run)
        if follow:
            return following.follow(given, desk, state.run)
        following.show(given, desk, acts.run_state(desk, state.run))
        return 0

    return command


def _skip(given: Given) -> int:
    """A run that ended in the files' check goes on; any other knows now."""
    desk = acts.open_desk(given.site, given.state)
    state = acts.run_state(desk, given.run)
    ended = state.checks_files and state.outcome not in LIVE
    question = f"Leave out reading every page in {state.run}? [yes/no] "
    if state.checks_files:
        question = f"Leave out the rest of the files' check in {state.run}? [yes/no] "
    if ended:
        question = f"Go on with {state.run}, whatever is missing or wrong among its files? [yes/no] "
    following.confirm(given, question, "yes")
    acts.skip(desk, state.run)
    if ended:
        return following.follow(given, desk, state.run)
    following.show(given, desk, acts.run_state(desk, state.run))
    return 0


def resume(given: Given) -> int:
    desk = acts.open_desk(given.site, given.state)
    state = acts.run_state(desk, given.run)
    following.confirm(given, f"Go on with {state.run}? [yes/no] ", "yes")
    acts.resume(desk, state.run, accept_checks=given.accept_checks)
    return following.follow(given, desk, state.run)


def advance(given: Given) -> int:
    desk = acts.open_desk(given.site, given.state)
    target = arguments.target_of(given)
    state = acts.run_state(desk, given.run)
    acts.read_archive(desk, progress.reading(given.json))
    following.confirm(given, f"Replay {state.run} on? Going back means anew. [yes/no] ", "yes")
    acts.advance(desk, state.run, target)
    return following.follow(given, desk, state.run)


def restore_source(given: Given) -> int:
    at = arguments.read_time(given.time) if given.time is not None else None
    done = acts.restore_source(
        acts.open_desk(given.site, given.state), given.copy, given.into.absolute(), revision=given.commit, at=at
    )
    if given.json:
        documents.write({"copy": done.copy, "into": done.into, "commit": done.commit})
    else:
        say(f"{done.into} holds {done.copy} at {done.commit}")
    return 0


def restore_image(given: Given) -> int:
    done = acts.restore_image(
        acts.open_desk(given.site, given.state),
        given.copy,
        given.into.absolute(),
        progress=progress.verifying(given.json),
    )
    if given.json:
        documents.write({"copy": done.copy, "into": done.into})
    else:
        say(f"{done.into} holds {done.copy}; every byte had the noted checksum")
    return 0


# Lambdas, so that an act is imported when it is used.
ON_A_RUN: dict[str, Callable[[Given], int]] = {
    "finish": _act(
        lambda desk, run: acts.finish(desk, run),
        "Open the recovered server of {run} for writes? [yes/no] ",
        follow=True,
    ),
    "cancel": _act(
        lambda desk, run: acts.cancel(desk, run), "Stop {run} at its next safe point? [yes/no] ", follow=False
    ),
    "skip": _skip,
    "rollback": _act(
        lambda desk, run: acts.rollback(desk, run), "Take {run} back to the state before it? [yes/no] ", follow=True
    ),
    "discard": _act(
        lambda desk, run: acts.discard(desk, run), "Delete what {run} set aside, for good? [yes/no] ", follow=True
    ),
    "stop": _act(lambda desk, run: acts.stop_server(desk, run), "Stop the server of {run}? [yes/no] ", follow=False),
    "start": _act(lambda desk, run: acts.start_server(desk, run), "Start the server of {run}? [yes/no] ", follow=False),
    "open": _act(
        lambda desk, run: acts.open_application(desk, run), "Start the application on {run}? [yes/no] ", follow=False
    ),
}
"""What is said to a run, by the command's name."""
