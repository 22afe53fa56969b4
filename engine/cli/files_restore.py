"""`reprise files restore`: what can be typed, the plan, the run."""

import argparse
from pathlib import Path

from engine import acts
from engine.cli import arguments, documents, following, telling
from engine.records.errors import UsageError


def add(parser: argparse.ArgumentParser) -> None:
    """The options of `files restore`."""
    parser.add_argument("--snapshot", metavar="ID", help="exactly what this snapshot holds, instead of a target")
    parser.add_argument("--path", metavar="PATH", help="only this file or folder, relative to the media folder")
    parser.add_argument("--into", type=Path, metavar="DIR", help="an absent or empty folder; production is not touched")
    parser.add_argument("--delta", action="store_true", help="change only what differs in the live folder")
    parser.add_argument("--fast", action="store_true", help="trust size and time instead of reading every file")
    parser.add_argument("--plan", action="store_true", help="only show the plan; changes nothing")
    parser.add_argument("--detach", action="store_true", help="start the run and return")


def carry_out(given: argparse.Namespace) -> int:
    """Plan, ask, run. Exit codes as `restore`."""
    asked = (given.time, given.lsn, given.xid, given.name)
    if given.snapshot is not None and (any(each is not None for each in asked) or given.latest or given.immediate):
        raise UsageError("--snapshot stands instead of a target", remedy="leave one of them out")
    target = None if given.snapshot is not None else arguments.target_of(given)
    desk = acts.open_desk(given.site, given.state)
    planned = acts.plan_files(
        desk, target, into=given.into, delta=given.delta, fast=given.fast, only=given.path, snapshot=given.snapshot
    )
    if planned.refused or given.plan:
        if given.json:
            documents.write(documents.refusal(planned) if planned.refused else documents.plan(planned))
        else:
            telling.plan(planned, desk.site.zone)
        return 3 if planned.refused else 0
    if not given.json:
        telling.plan(planned, desk.site.zone)
    assert planned.files is not None
    if planned.files.place == "into":
        following.confirm(given, f"Fill {planned.files.folder}? [yes/no] ", "yes")
    else:
        question = f"This changes {planned.files.live} of site {desk.site.name!r}; what it replaces is set aside. "
        following.confirm(given, question + "Type the site's name: ", desk.site.name)
    return following.begin(given, desk, planned)
