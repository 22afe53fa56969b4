"""One function per command: acts in, a document (or plain lines) and an exit code out."""

import argparse
from collections.abc import Callable
from shlex import quote

from engine import acts
from engine.cli import arguments, catalog, documents, drill, files, following, keeping, monitoring, reporting, telling
from engine.cli.opening import open_on
from engine.cli.printing import say, say_lines
from engine.records.errors import RepriseError, UsageError
from engine.records.plan import Destination, Plan
from engine.records.runs import LIVE
from engine.records.status import Level

Given = argparse.Namespace


def carry_out(given: Given, open_screen: Callable[..., int]) -> int:
    """Do what a command says. Returns the exit code; raises RepriseError."""
    if given.command == "demo":
        return _demo(given, open_screen)
    return _COMMANDS[given.command](given)


def _desk(given: Given) -> acts.Desk:
    return acts.open_desk(given.site, given.state)


def _catalog(given: Given) -> int:
    desk = _desk(given)
    acts.read_archive(desk, telling.reading(given.json))
    view = acts.look(desk, list_wal=True)
    proofs = acts.proofs(desk, view.catalog)
    if given.json:
        documents.write(catalog.document(view.catalog, proofs))
    else:
        catalog.tell(view.catalog, desk.site.zone, proofs)
    return 0


def _windows(given: Given) -> int:
    desk = _desk(given)
    acts.read_archive(desk, telling.reading(given.json))
    view = acts.look(desk)
    if given.json:
        documents.write(documents.windows(view.windows))
    else:
        telling.windows(view.windows, desk.site.zone)
    return 0


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
    desk = _desk(given)
    acts.read_archive(desk, telling.reading(given.json))
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
    desk = _desk(given)
    name = given.beside or given.database
    return desk, acts.plan_dump_restore(desk, given.dump, database=name, beside=given.beside is not None)


def _plan(given: Given) -> int:
    desk, planned = _planned(given)
    if given.json:
        documents.write(documents.plan(planned))
    else:
        telling.plan(planned, desk.site.zone)
    return 3 if planned.refused else 0


def _restore(given: Given) -> int:
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


def _runs(given: Given) -> int:
    desk = _desk(given)
    found, problems = acts.runs(desk), acts.damaged_runs(desk)
    if given.json:
        documents.write(documents.runs(found, problems))
    else:
        telling.runs(found, problems, desk.site.zone)
    return 0


def _attach(given: Given) -> int:
    desk = _desk(given)
    return following.follow(given, desk, acts.run_state(desk, given.run).run)


def _act(act: Callable[[acts.Desk, str], object], question: str, *, follow: bool) -> Callable[[Given], int]:
    """A command that does something with a run: asks, acts, and shows how the run stands then."""

    def command(given: Given) -> int:
        desk = _desk(given)
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
    desk = _desk(given)
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


def _resume(given: Given) -> int:
    desk = _desk(given)
    state = acts.run_state(desk, given.run)
    following.confirm(given, f"Go on with {state.run}? [yes/no] ", "yes")
    acts.resume(desk, state.run, accept_checks=given.accept_checks)
    return following.follow(given, desk, state.run)


def _advance(given: Given) -> int:
    desk = _desk(given)
    target = arguments.target_of(given)
    state = acts.run_state(desk, given.run)
    acts.read_archive(desk, telling.reading(given.json))
    following.confirm(given, f"Replay {state.run} on? Going back means anew. [yes/no] ", "yes")
    acts.advance(desk, state.run, target)
    return following.follow(given, desk, state.run)


def _init(given: Given) -> int:
    from engine.cli.init import write_site_file

    return write_site_file(given)


def _demo(given: Given, open_screen: Callable[..., int]) -> int:
    if given.dir is not None:
        given.dir = given.dir.absolute()
    progress = telling.building(given.json)
    lab = acts.demo(given.dir, given.state, reset=given.reset, progress=progress, bin_dir=given.bin_dir)
    if given.headless:
        acts.leave_demo(lab, given.state)
        if given.json:
            documents.write({"site": str(lab.site_file), "dir": str(lab.directory)})
        else:
            say(f"the demo site is {lab.site_file}; look at it with: reprise --site {quote(str(lab.site_file))}")
        return 0
    try:
        lab.start_server()
        return open_on(lab.site_file, given, open_screen)
    finally:
        acts.leave_demo(lab, given.state)


def _backup(given: Given) -> int:
    """Take a copy. Nothing is replaced by that, so it asks nothing."""
    desk = _desk(given)
    planned = _COPIES[given.what](desk, given)
    if given.json and len(planned) > 1:
        remedy = "name one of the repositories: --path PATH"
        raise UsageError("with --json one copy is taken at a time", remedy=remedy)
    return max(_take(given, desk, each) for each in planned)


def _take(given: Given, desk: acts.Desk, planned: Plan) -> int:
    if planned.refused:
        if given.json:
            documents.write(documents.copy_refusal(planned))
        else:
            telling.copy_plan(planned)
        return 3
    if not given.json:
        telling.copy_plan(planned)
    return following.begin(given, desk, planned)


def _status(given: Given) -> int:
    """To a monitor 1 is a warning: where the status cannot be told, the exit code is that of unknown."""
    desk = _desk(given)
    try:
        found = acts.status(desk)
        if given.prometheus is not None:
            monitoring.write_metrics(found, given.prometheus.absolute())
    except UsageError:
        raise
    except RepriseError as error:
        if not given.json:
            monitoring.tell_unknown(desk.site.name, error.message)
        error.exit_code = int(Level.UNKNOWN)
        raise
    if given.json:
        documents.write(keeping.status(found))
    else:
        monitoring.tell(found, desk.site.zone)
    return int(found.level)


def _schedule(given: Given) -> int:
    """What would be installed is shown before it is confirmed."""
    desk = _desk(given)
    state = acts.show_schedule(desk)
    if given.act != "show":
        if not given.json and not given.yes:
            say_lines(state.text)
        question = "Install this? [yes/no] " if given.act == "install" else "Remove what is installed? [yes/no] "
        following.confirm(given, question, "yes")
        state = acts.install_schedule(desk) if given.act == "install" else acts.remove_schedule(desk)
    if given.json:
        documents.write(keeping.schedule(state))
    else:
        telling.schedule(state)
    return 0


def _archiving(given: Given) -> int:
    desk, done = _desk(given), False
    if given.act == "adopt":
        return _adopt(given, desk)
    if given.act == "set-up":
        found = acts.plan_archiving(desk, zstd=given.zstd, stream=given.stream)
        if found.ok:
            if not given.json:
                telling.archiving(found)
            following.confirm(given, "Set the server so? [yes/no] ", "yes")
            found = acts.set_up_archiving(desk, zstd=given.zstd, restart=given.restart, stream=given.stream)
            done = True
    elif given.act == "test":
        found = acts.prove_archiving(desk)
    else:
        found = acts.stream_wal(desk, accept_gap=given.accept_gap, say=lambda line: say(line, err=True, flush=True))
    if given.json:
        documents.write(keeping.archiving(found))
    elif given.act == "stream" and found.ok:
        say("the stream has ended; until it is started again its slot holds WAL back on the server")
    else:
        telling.archiving(found, done=done)
    return 0 if found.ok else 1


def _adopt(given: Given, desk: acts.Desk) -> int:
    """What is adopted is shown before it is confirmed; without --apply nothing is written."""
    if given.apply and not given.yes:
        found = acts.adopt_unfinished(desk)
        if not given.json:
            telling.adoption(found, desk.site.zone)
        if found.adopting:
            following.confirm(given, "Write these into the archive? [yes/no] ", "yes")
    found = acts.adopt_unfinished(desk, apply=given.apply)
    if given.json:
        documents.write(keeping.adoption(found, applied=given.apply))
    else:
        telling.adoption(found, desk.site.zone, applied=given.apply)
    return 3 if found.refused else 0


def _push(given: Given) -> int:
    done = acts.push_all(_desk(given), progress=telling.sending(given.json))
    if given.json:
        documents.write({"pushed": done})
    else:
        say(f"at the second places, verified by checksum: {', '.join(done)}")
    return 0


def _fetch(given: Given) -> int:
    """Wants no site file: the machine that had it may be gone."""
    done = acts.fetch_back(given.address, given.into, progress=telling.sending(given.json))
    if given.json:
        documents.write({"from": given.address, "into": str(done.into), "left_out": list(done.left_out)})
    else:
        say(f"{done.into} holds all of {given.address}, verified by checksum")
        for name in done.left_out:
            say(f"  but for {name}, which is half sent or half deleted there")
        say(f"write a site file from it with: reprise init --from {quote(str(done.into))}")
    return 0


def _restore_source(given: Given) -> int:
    at = arguments.read_time(given.time) if given.time is not None else None
    done = acts.restore_source(_desk(given), given.copy, given.into.absolute(), revision=given.commit, at=at)
    if given.json:
        documents.write({"copy": done.copy, "into": done.into, "commit": done.commit})
    else:
        say(f"{done.into} holds {done.copy} at {done.commit}")
    return 0


def _restore_image(given: Given) -> int:
    done = acts.restore_image(_desk(given), given.copy, given.into.absolute(), progress=telling.verifying(given.json))
    if given.json:
        documents.write({"copy": done.copy, "into": done.into})
    else:
        say(f"{done.into} holds {done.copy}; every byte had the noted checksum")
    return 0


def _verify(given: Given) -> int:
    if bool(given.ids) == given.all:
        raise UsageError("name the copies to verify, or say --all", remedy="list them with: reprise catalog")
    proofs = acts.verify(_desk(given), given.ids, progress=telling.verifying(given.json))
    if given.json:
        documents.write(keeping.proofs(proofs))
    else:
        telling.proofs(proofs)
    return 0 if all(proof.ok is True for proof in proofs) else 1


def _expire(given: Given) -> int:
    """What goes is listed before it is confirmed; without --apply nothing is deleted."""
    desk = _desk(given)
    if given.apply and not given.yes:
        if not given.json:
            telling.expiry(acts.expire(desk))
        following.confirm(given, "Delete these for good? [yes/no] ", "yes")
    expiry = acts.expire(desk, apply=given.apply)
    if given.json:
        documents.write(keeping.expiry(expiry, applied=given.apply))
    else:
        telling.expiry(expiry, applied=given.apply)
    return 0


_COPIES: dict[str, Callable[[acts.Desk, Given], list[Plan]]] = {
    "base": lambda desk, given: [acts.plan_base_backup(desk, incremental=given.incremental, format=given.format)],
    "dump": lambda desk, given: [acts.plan_dump(desk, database=given.database, format=given.format)],
    "source": lambda desk, given: acts.plan_source_copies(desk, given.path),
    "image": lambda desk, given: [acts.plan_image(desk)],
    "media": lambda desk, given: [acts.plan_media_snapshot(desk)],
}

# Lambdas, so that an act is imported when it is used.
_COMMANDS: dict[str, Callable[[Given], int]] = {
    "catalog": _catalog,
    "windows": _windows,
    "plan": _plan,
    "restore": _restore,
    "runs": _runs,
    "attach": _attach,
    "report": lambda given: reporting.report(given, _desk(given)),
    "runbook": lambda given: reporting.runbook(given, _desk(given)),
    "finish": _act(
        lambda desk, run: acts.finish(desk, run),
        "Open the recovered server of {run} for writes? [yes/no] ",
        follow=True,
    ),
    "advance": _advance,
    "cancel": _act(
        lambda desk, run: acts.cancel(desk, run), "Stop {run} at its next safe point? [yes/no] ", follow=False
    ),
    "skip": _skip,
    "resume": _resume,
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
    "init": _init,
    "backup": _backup,
    "drill": drill.carry_out,
    "expire": _expire,
    "files": files.carry_out,
    "verify": _verify,
    "push": _push,
    "fetch": _fetch,
    "archiving": _archiving,
    "schedule": _schedule,
    "status": _status,
    "restore-source": _restore_source,
    "restore-image": _restore_image,
}
