"""What is written down for others: `reprise report` and `reprise runbook`."""

import argparse
from pathlib import Path
from typing import Literal

from engine import acts
from engine.cli import documents, following, progress, telling
from engine.cli.printing import say
from engine.records.runs import Deed

_FORMS: tuple[Literal["html", "markdown"], ...] = ("html", "markdown")


def report(given: argparse.Namespace) -> int:
    """Show the report of a run, or write it into absent files."""
    desk = acts.open_desk(given.site, given.state)
    state = acts.run_state(desk, given.run)
    written = []
    for form in _FORMS:
        file: Path | None = getattr(given, form)
        if file is not None:
            acts.write_report(desk, state.run, file.absolute(), form)
            written.append(str(file.absolute()))
    if given.json:
        found, wanted = acts.evidence(desk, state.run), desk.site.objectives
        documents.write(
            {
                **following.document_of(state),
                "who": [_deed(each) for each in state.deeds],
                "objectives": {"rto_seconds": wanted.rto_seconds, "rpo_seconds": wanted.rpo_seconds},
                "journal": {"bytes": found.bytes, "sha256": found.sha256},
                "written": written,
            }
        )
    elif written:
        for path in written:
            say(f"the report of {state.run} is written to {path}")
    else:
        telling.report(state, desk.site.zone)
    return 0


def runbook(given: argparse.Namespace) -> int:
    """Write the page for the safe."""
    desk = acts.open_desk(given.site, given.state)
    acts.read_archive(desk, progress.reading(given.json))
    form: Literal["html", "markdown"] = "html" if given.html else "markdown"
    file: Path = given.out or Path(f"runbook-{desk.site.name}.{'html' if given.html else 'md'}")
    written = acts.write_runbook(desk, file.absolute(), form)
    if given.json:
        documents.write(
            {
                "path": written.path,
                "format": form,
                "backup": written.backup,
                "reaches": documents.time(written.reaches),
                "findings": list(written.findings),
            }
        )
    else:
        say(f"the runbook is written to {written.path}: print it, and put it where it is found without this machine")
        for finding in written.findings:
            say(f"  {finding}")
    return 0


def _deed(deed: Deed) -> documents.Document:
    by = deed.operator
    return {
        "at": documents.time(deed.at),
        "act": deed.act,
        "user": by.user if by else None,
        "login": by.login if by else None,
        "sudo_user": by.sudo_user if by else None,
        "ssh_client": by.ssh_client if by else None,
        "versions": dict(deed.versions),
    }
