"""The copies: taken, sent and fetched back, verified, watched, expired; and what does that by itself."""

import argparse
from collections.abc import Callable
from shlex import quote

from engine import acts
from engine.cli import documents, following, keeping, monitoring, progress, telling
from engine.cli.printing import say, say_lines
from engine.records.errors import RepriseError, UsageError
from engine.records.plan import Plan
from engine.records.status import Level

Given = argparse.Namespace


def backup(given: Given) -> int:
    """Take a copy. Nothing is replaced by that, so it asks nothing."""
    desk = acts.open_desk(given.site, given.state)
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


def status(given: Given) -> int:
    """To a monitor 1 is a warning: where the status cannot be told, the exit code is that of unknown."""
    desk = acts.open_desk(given.site, given.state)
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


def schedule(given: Given) -> int:
    """What would be installed is shown before it is confirmed."""
    desk = acts.open_desk(given.site, given.state)
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
        keeping.tell_schedule(state)
    return 0


def archiving(given: Given) -> int:
    desk, done = acts.open_desk(given.site, given.state), False
    if given.act == "adopt":
        return _adopt(given, desk)
    if given.act == "set-up":
        found = acts.plan_archiving(desk, zstd=given.zstd, stream=given.stream)
        if found.ok:
            if not given.json:
                keeping.tell_archiving(found)
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
        keeping.tell_archiving(found, done=done)
    return 0 if found.ok else 1


def _adopt(given: Given, desk: acts.Desk) -> int:
    """What is adopted is shown before it is confirmed; without --apply nothing is written."""
    if given.apply and not given.yes:
        found = acts.adopt_unfinished(desk)
        if not given.json:
            keeping.tell_adoption(found, desk.site.zone)
        if found.adopting:
            following.confirm(given, "Write these into the archive? [yes/no] ", "yes")
    found = acts.adopt_unfinished(desk, apply=given.apply)
    if given.json:
        documents.write(keeping.adoption(found, applied=given.apply))
    else:
        keeping.tell_adoption(found, desk.site.zone, applied=given.apply)
    return 3 if found.refused else 0


def push(given: Given) -> int:
    done = acts.push_all(acts.open_desk(given.site, given.state), progress=progress.sending(given.json))
    if given.json:
        documents.write({"pushed": done})
    else:
        say(f"at the second places, verified by checksum: {', '.join(done)}")
    return 0


def fetch(given: Given) -> int:
    """Wants no site file: the machine that had it may be gone."""
    done = acts.fetch_back(given.address, given.into, progress=progress.sending(given.json))
    if given.json:
        documents.write({"from": given.address, "into": str(done.into), "left_out": list(done.left_out)})
    else:
        say(f"{done.into} holds all of {given.address}, verified by checksum")
        for name in done.left_out:
            say(f"  but for {name}, which is half sent or half deleted there")
        say(f"write a site file from it with: reprise init --from {quote(str(done.into))}")
    return 0


def verify(given: Given) -> int:
    if bool(given.ids) == given.all:
        raise UsageError("name the copies to verify, or say --all", remedy="list them with: reprise catalog")
    proofs = acts.verify(acts.open_desk(given.site, given.state), given.ids, progress=progress.verifying(given.json))
    if given.json:
        documents.write(keeping.proofs(proofs))
    else:
        keeping.tell_proofs(proofs)
    return 0 if all(proof.ok is True for proof in proofs) else 1


def expire(given: Given) -> int:
    """What goes is listed before it is confirmed; without --apply nothing is deleted."""
    desk = acts.open_desk(given.site, given.state)
    if given.apply and not given.yes:
        if not given.json:
            keeping.tell_expiry(acts.expire(desk))
        following.confirm(given, "Delete these for good? [yes/no] ", "yes")
    expiry = acts.expire(desk, apply=given.apply)
    if given.json:
        documents.write(keeping.expiry(expiry, applied=given.apply))
    else:
        keeping.tell_expiry(expiry, applied=given.apply)
    return 0


_COPIES: dict[str, Callable[[acts.Desk, Given], list[Plan]]] = {
    "base": lambda desk, given: [acts.plan_base_backup(desk, incremental=given.incremental, format=given.format)],
    "dump": lambda desk, given: [acts.plan_dump(desk, database=given.database, format=given.format)],
    "source": lambda desk, given: acts.plan_source_copies(desk, given.path),
    "image": lambda desk, given: [acts.plan_image(desk)],
    "media": lambda desk, given: [acts.plan_media_snapshot(desk)],
}
