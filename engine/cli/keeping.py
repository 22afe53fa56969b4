"""The documents of copies that are kept: status, schedule, archiving, proofs, expiry (CONTRACT.md)."""

from collections.abc import Iterable

from engine.cli.documents import Document, lsn, time
from engine.records.copying import Proof
from engine.records.keeping import Expiry
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
