"""Copies that are kept: schedule, archiving, proofs, expiry, as the documents of CONTRACT.md and as plain lines; the
status as a document (its lines: `monitoring`)."""

from collections.abc import Iterable
from zoneinfo import ZoneInfo

from engine.cli.documents import Document, lsn, time
from engine.cli.printing import say
from engine.cli.telling import SIGNS, duration, moment, size
from engine.records.copying import Proof
from engine.records.keeping import Expiry
from engine.records.lsn import format_lsn
from engine.records.status import Adoption, Archiving, ScheduleState, SiteStatus, Thing


def status(found: SiteStatus) -> Document:
    return {
        "site": found.site,
        "at": time(found.at),
        "level": int(found.level),
        "things": [
            {
                "name": each.name,
                "level": int(each.level),
                "newest": {"id": each.newest, "at": time(each.newest_at)} if each.newest else None,
                "age_seconds": each.age_seconds,
                "policy_seconds": each.policy_seconds,
                "last_proof": _last_proof(each),
                "would_lose": {"seconds": each.lose_seconds, "files": each.lose_files},
                "findings": list(each.findings),
            }
            for each in found.things
        ],
    }


def _last_proof(thing: Thing) -> Document | None:
    if thing.proven_at is None:
        return None
    return {"at": time(thing.proven_at), "ok": thing.proof_ok, "drill": thing.proof_drill}


def schedule(found: ScheduleState) -> Document:
    return {
        "entries": [
            {"what": each.what, "when": each.when, "next_at": time(each.next_at), "command": each.command}
            for each in found.entries
        ],
        "by": found.by,
        "installed": found.installed,
        "findings": list(found.findings),
    }


def tell_schedule(found: ScheduleState) -> None:
    for each in found.entries:
        then = f"{each.next_at:%a %d %b %H:%M}" if each.next_at else "unknown"
        say(f"   {each.what:<12} {each.when:<20} next {then:<18} {each.command}")
    if not found.entries:
        say("the site file has no [schedule]")
    elif found.installed:
        say(f"installed; {found.by} runs it")
    else:
        say("not installed, or not as it stands here; do it with: reprise schedule install")
    for finding in found.findings:
        say(f" {SIGNS['warn']} {finding}")


def archiving(found: Archiving) -> Document:
    return {
        "ok": found.ok,
        "changes": [
            {"setting": each.setting, "from": each.old, "to": each.new, "restart": each.restart}
            for each in found.changes
        ],
        "segment": found.segment,
        "seconds": found.seconds,
        "findings": list(found.findings),
    }


def tell_archiving(found: Archiving, *, done: bool = False) -> None:
    """``done``: the changes, which were shown before, were made."""
    for each in found.changes if not done else ():
        note = "  (needs a restart)" if each.restart else ""
        say(f"   {each.setting:<18} {each.old or chr(39) * 2} -> {each.new}{note}")
    if found.segment:
        took = f" after {duration(found.seconds)}" if found.seconds is not None else ""
        say(
            f" {SIGNS['ok' if found.ok else 'bad']} {found.segment} {'arrived' if found.ok else 'did not arrive'}{took}"
        )
    for finding in found.findings:
        say(f" {SIGNS['warn']} {finding}")
    if done and found.ok:
        say("the server is set so; prove it with: reprise archiving test")
    elif found.ok and not found.changes and not found.segment:
        say("nothing needs to be changed")


def adoption(found: Adoption, *, applied: bool) -> Document:
    return {
        "applied": applied,
        "adopt": [
            {
                "segment": each.segment,
                "timeline": each.timeline,
                "path": str(each.path),
                "commits": each.commits,
                "last_commit_at": time(each.last_commit_at),
                "end_lsn": lsn(each.end_lsn),
                "ended_by": each.ended_by,
            }
            for each in found.adopting
        ],
        "leave": [
            {"path": str(each.path), "why": each.why_not, "refused": each.refused, "remedy": each.remedy}
            for each in found.leaving
        ],
        "findings": list(found.findings),
    }


def tell_adoption(found: Adoption, zone: ZoneInfo, *, applied: bool = False) -> None:
    say(("adopted" if applied else "can be adopted") + ("" if found.adopting else ": nothing"))
    for each in found.adopting:
        number = f"{each.commits} commits" if each.commits != 1 else "one commit"
        until = f", the last at {moment(each.last_commit_at, zone)} ({zone})" if each.last_commit_at else ""
        say(f" {SIGNS['ok']} {each.segment}: {number} more on timeline {each.timeline}{until}")
        say(f"      its WAL ends at {format_lsn(each.end_lsn or 0)}; from {each.path}, which stays")
        if each.ended_by is not None:
            say(f" {SIGNS['warn']}    what is behind that is left out: {each.ended_by}")
    for each in found.leaving:
        say(f" {SIGNS['bad' if each.refused else 'info']} {each.path.name} is left as it is: {each.why_not}")
        if each.remedy is not None:
            say(f"      {each.remedy}")
    for finding in found.findings:
        say(f" {SIGNS['warn']} {finding}")
    if found.adopting and not applied:
        say("nothing was written; do it with: reprise archiving adopt --apply")


def proofs(found: Iterable[Proof]) -> Document:
    return {
        "results": [
            {
                "id": each.id,
                "kind": each.kind,
                "repository": each.repository,
                "ok": each.ok,
                "findings": list(each.findings),
                "seconds": each.seconds,
                "at": time(each.at),
            }
            for each in found
        ]
    }


def tell_proofs(found: Iterable[Proof]) -> None:
    for each in found:
        sign = SIGNS[{True: "ok", False: "bad", None: "warn"}[each.ok]]
        say(f" {sign} {each.kind:<6} {each.id:<40} {duration(each.seconds):>10}")
        for finding in each.findings:
            say(f"          {finding}")


def expiry(found: Expiry, *, applied: bool) -> Document:
    """What goes and what stays; ``place`` is the second place at which it lies, None for its own repository."""
    return {
        "applied": applied,
        "delete": [
            {
                "id": each.verdict.id,
                "kind": each.verdict.kind,
                "bytes": each.bytes,
                "why": each.verdict.why,
                "place": each.verdict.place,
            }
            for each in found.leaving
        ],
        "keep": [{"id": each.id, "kind": each.kind, "why": each.why, "place": each.place} for each in found.staying],
        "bytes": found.bytes,
        "findings": list(found.findings),
    }


def tell_expiry(found: Expiry, *, applied: bool = False) -> None:
    for title, verdicts in (
        ("deleted" if applied else "would go", [(each.verdict, size(each.bytes)) for each in found.leaving]),
        ("stays", [(each, "") for each in found.staying]),
    ):
        say(title if verdicts else f"{title}: nothing")
        for verdict, count in verdicts:
            say(f"   {verdict.kind:<6} {verdict.id:<50} {count:>10}  {verdict.told}")
    say(f"{size(found.bytes)} {'came back' if applied else 'would come back'}")
    for finding in found.findings:
        say(f" {SIGNS['warn']} {finding}")
    if found.leaving and not applied:
        say("nothing was deleted; do it with: reprise expire --apply")
