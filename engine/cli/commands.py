"""Which function does a command: arguments in, a document (or plain lines) and an exit code out."""

import argparse
from collections.abc import Callable
from shlex import quote

from engine import acts
from engine.cli import catalog, copies, documents, drill, files, progress, recovering, reporting, telling
from engine.cli.opening import open_on
from engine.cli.printing import say

Given = argparse.Namespace


def carry_out(given: Given, open_screen: Callable[..., int]) -> int:
    """Do what a command says. Returns the exit code; raises RepriseError."""
    if given.command == "demo":
        return _demo(given, open_screen)
    return _COMMANDS[given.command](given)


def _catalog(given: Given) -> int:
    desk = acts.open_desk(given.site, given.state)
    acts.read_archive(desk, progress.reading(given.json))
    view = acts.look(desk, list_wal=True)
    proofs = acts.proofs(desk, view.catalog)
    if given.json:
        documents.write(catalog.document(view.catalog, proofs))
    else:
        catalog.tell(view.catalog, desk.site.zone, proofs)
    return 0


def _windows(given: Given) -> int:
    desk = acts.open_desk(given.site, given.state)
    acts.read_archive(desk, progress.reading(given.json))
    view = acts.look(desk)
    if given.json:
        documents.write(documents.windows(view.windows))
    else:
        telling.windows(view.windows, desk.site.zone)
    return 0


def _init(given: Given) -> int:
    from engine.cli.init import write_site_file

    return write_site_file(given)


def _demo(given: Given, open_screen: Callable[..., int]) -> int:
    if given.dir is not None:
        given.dir = given.dir.absolute()
    lab = acts.demo(
        given.dir, given.state, reset=given.reset, progress=progress.building(given.json), bin_dir=given.bin_dir
    )
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


_COMMANDS: dict[str, Callable[[Given], int]] = {
    "catalog": _catalog,
    "windows": _windows,
    "plan": recovering.plan,
    "restore": recovering.restore,
    "restore-source": recovering.restore_source,
    "restore-image": recovering.restore_image,
    "runs": recovering.runs,
    "attach": recovering.attach,
    "advance": recovering.advance,
    "resume": recovering.resume,
    **recovering.ON_A_RUN,
    "report": reporting.report,
    "runbook": reporting.runbook,
    "init": _init,
    "backup": copies.backup,
    "archiving": copies.archiving,
    "schedule": copies.schedule,
    "status": copies.status,
    "verify": copies.verify,
    "expire": copies.expire,
    "push": copies.push,
    "fetch": copies.fetch,
    "drill": drill.carry_out,
    "files": files.carry_out,
}
