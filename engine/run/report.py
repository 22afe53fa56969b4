"""The report of a run: ``report.json`` for programs, ``report.md`` and ``report.html`` for people. Written at every end
of an engine, and whenever somebody asks for one."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from engine.paper.blocks import Page
from engine.paper.html import html
from engine.paper.markdown import markdown
from engine.paper.measures import CHARTED
from engine.paper.report import JournalDigest, report_page
from engine.records.coding import to_builtins, to_json
from engine.records.recoveries import Objectives, Recovery
from engine.records.runs import RunState
from engine.recovery.recoveries import data_loss, in_order, recovery_of, recovery_seconds
from engine.run.folder import JOURNAL, state_of
from engine.run.learnt import recoveries
from engine.site import Site
from engine.transfer.durable import put_file, remove_drafts

Form = Literal["html", "markdown"]


def write_report(state: RunState, site: Site, facts: Mapping[str, Any]) -> None:
    """Write all three, each atomically; nobody else writes them now. Raises OSError."""
    folder = Path(state.folder)
    digest = journal_digest(folder)
    page = _page(state, site, facts, digest)
    told = {"state": state, "facts": facts, "measured": measures(state, site), "journal": to_builtins(digest)}
    for name, content in (
        ("report.json", to_json(told, indent=2)),
        ("report.md", printed(page, "markdown")),
        ("report.html", printed(page, "html")),
    ):
        remove_drafts(folder / name)
        put_file(folder / name, content)


def report_now(state: RunState, site: Site, facts: Mapping[str, Any], form: Form) -> bytes:
    """The report of a run as it stands. Raises OSError."""
    return printed(_page(state, site, facts, journal_digest(Path(state.folder))), form)


def printed(page: Page, form: Form) -> bytes:
    """A page as a file's content. Names that are not UTF-8 come escaped."""
    return (html(page) if form == "html" else markdown(page)).encode("utf-8", "backslashreplace")


def _page(state: RunState, site: Site, facts: Mapping[str, Any], digest: JournalDigest) -> Page:
    shown: tuple[Recovery, ...] = ()
    if (this := recovery_of(state)) is not None:
        before = recoveries(state_of(Path(state.folder)), CHARTED)
        shown = in_order([*(each for each in before if each.name != state.run), this])
    return report_page(state, facts, digest, objectives_of(site), at=datetime.now(UTC), recoveries=shown)


def objectives_of(site: Site) -> Objectives:
    """What the site wants of a recovery."""
    return Objectives(site.objectives.rto_seconds, site.objectives.rpo_seconds)


def measures(state: RunState, site: Site) -> dict[str, Any]:
    """What the run took and lost, in seconds, and what was wanted; null where it is not known."""
    loss, objectives = data_loss(state), objectives_of(site)
    return {
        "rto_seconds": recovery_seconds(state),
        "waited_seconds": state.waited,
        "rpo_seconds": loss.seconds,
        "rpo_rests_on": loss.why,
        "objectives": {"rto_seconds": objectives.rto_seconds, "rpo_seconds": objectives.rpo_seconds},
    }


def journal_digest(folder: Path) -> JournalDigest:
    """What a run's journal holds now. Raises OSError."""
    data = (folder / JOURNAL).read_bytes()
    whole = data[: data.rfind(b"\n") + 1]  # a line that is being written is not yet one
    return JournalDigest(len(whole), hashlib.sha256(whole).hexdigest())
