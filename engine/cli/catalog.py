"""What copies there are, each with its last proof: as the document of CONTRACT.md, and as plain lines."""

from collections.abc import Iterable
from zoneinfo import ZoneInfo

from engine.cli import documents
from engine.cli.documents import Document, lsn, time
from engine.cli.printing import say
from engine.cli.telling import SIGNS, size, stamp
from engine.records.copies import BaseBackup, Catalog
from engine.records.copying import Proof


def document(found: Catalog, proofs: Iterable[Proof] = ()) -> Document:
    known = _by_copy(proofs)

    def proven(kind: str, repository: str, id: str) -> Document:
        proof = known.get((kind, repository, id))
        told = {"at": time(proof.at), "ok": proof.ok, "drill": proof.drill} if proof is not None else None
        return {"last_proof": told}

    return {
        "site": found.site,
        "base_backups": [
            _base_backup(backup) | proven("base", backup.repository, backup.id) for backup in found.base_backups
        ],
        "wal_proofs": [
            {"id": id, "repository": place, **proven(kind, place, id)} for kind, place, id in known if kind == "wal"
        ],
        "wal_ranges": [
            {
                "timeline": each.timeline,
                "first": each.first,
                "last": each.last,
                "segments": each.segments,
                "bytes": each.bytes,
                "first_commit_at": time(each.first_commit_at),
                "last_commit_at": time(each.last_commit_at),
                "commits": each.commits,
            }
            for each in found.wal_ranges
        ],
        "gaps": [
            {"timeline": gap.timeline, "first_missing": gap.first_missing, "last_missing": gap.last_missing}
            for gap in found.gaps
        ],
        "timelines": [
            {"timeline": each.id, "parent": each.parent, "fork_lsn": lsn(each.fork_lsn), "reason": each.reason}
            for each in found.timelines
        ],
        "restore_points": [
            {"name": each.name, "timeline": each.timeline, "lsn": lsn(each.lsn), "at": time(each.at)}
            for each in found.restore_points
        ],
        "dumps": [
            {
                "id": dump.id,
                "repository": dump.repository,
                "path": str(dump.path),
                "format": dump.format,
                "started_at": time(dump.started_at),
                "size_bytes": dump.size_bytes,
                "database": dump.database,
                "usable": dump.usable,
                "reason": dump.reason,
                **proven("dump", dump.repository, dump.id),
            }
            for dump in found.dumps
        ],
        "media_snapshots": [
            documents.media(each) | proven("media", each.repository, each.id) for each in found.media_snapshots
        ],
        "sources": [
            {
                "id": each.id,
                "form": each.form,
                "path": str(each.path),
                "origin": each.origin,
                "started_at": time(each.started_at),
                "stopped_at": time(each.stopped_at),
                "head": each.head,
                **proven("source", str(each.path.parent), each.id),
            }
            for each in found.sources
        ],
        "images": [
            {
                "id": each.id,
                "form": each.form,
                "path": str(each.path),
                "origin": each.origin,
                "started_at": time(each.started_at),
                "stopped_at": time(each.stopped_at),
                "size_bytes": each.size_bytes,
                "sha256": each.sha256,
                "usable": each.usable,
                "reason": each.reason,
                **proven("image", str(each.path.parent), each.id),
            }
            for each in found.images
        ],
        "problems": documents.list_problems(found.problems),
    }


def _base_backup(backup: BaseBackup) -> Document:
    return {
        "id": backup.id,
        "repository": backup.repository,
        "path": str(backup.path),
        "format": backup.format,
        "compression": backup.compression,
        "started_at": time(backup.started_at),
        "stopped_at": time(backup.stopped_at),
        "start_lsn": lsn(backup.start_lsn),
        "stop_lsn": lsn(backup.stop_lsn),
        "timeline": backup.timeline,
        "size_bytes": backup.size_bytes,
        "version": backup.version,
        "system_identifier": backup.system_identifier,
        "parent": backup.parent,
        "incremental": backup.incremental,
        "from_standby": backup.from_standby,
        "usable": backup.usable,
        "reason": backup.reason,
        "doubt": backup.doubt,
    }


def tell(found: Catalog, zone: ZoneInfo, proofs: Iterable[Proof] = ()) -> None:
    known = _by_copy(proofs)

    def proven(kind: str, repository: str, id: str) -> str:
        return _words(known.get((kind, repository, id)), zone)

    say(f"site {found.site}")
    say()
    say("base backups")
    for backup in found.base_backups:
        sign = SIGNS["bad"] if not backup.usable else SIGNS["warn"] if backup.doubt else SIGNS["ok"]
        kind = "incremental" if backup.incremental else "full"
        say(
            f" {sign} {backup.id:<24} {stamp(backup.started_at, zone):<26} {kind:<11} "
            f"{size(backup.size_bytes):>10}  timeline {backup.timeline or '?'}  "
            f"{proven('base', backup.repository, backup.id)}"
        )
        if backup.reason or backup.doubt:
            say(f"     {backup.reason or backup.doubt}")
    say()
    say("WAL")
    for each in found.wal_ranges:
        say(
            f"   timeline {each.timeline}  {each.first} – {each.last}  {each.segments} segments  "
            f"{each.commits} commits to {stamp(each.last_commit_at, zone)}"
        )
    for proof in known.values():
        if proof.kind == "wal":
            say(f"   {proof.repository}  {_words(proof, zone)}")
    for gap in found.gaps:
        say(f" {SIGNS['bad']} missing on timeline {gap.timeline}: {gap.first_missing} – {gap.last_missing}")
    for title, names in (
        ("restore points", [f"{each.name}  {stamp(each.at, zone)}" for each in found.restore_points]),
        (
            "dumps",
            [
                f"{each.id}  {stamp(each.started_at, zone)}  {proven('dump', each.repository, each.id)}"
                for each in found.dumps
            ],
        ),
        (
            "media snapshots",
            [
                f"{each.id}  {size(each.size_bytes)}  {proven('media', each.repository, each.id)}"
                for each in found.media_snapshots
            ],
        ),
        (
            "source copies",
            [
                f"{each.id}  {stamp(each.started_at, zone)}  {proven('source', str(each.path.parent), each.id)}"
                for each in found.sources
            ],
        ),
        (
            "copies of the environment",
            [
                f"{each.id}  {stamp(each.started_at, zone)}  {size(each.size_bytes)}  "
                + (each.reason or proven("image", str(each.path.parent), each.id))
                for each in found.images
            ],
        ),
    ):
        if names:
            say()
            say(title)
            for name in names:
                say(f"   {name}")
    if found.problems:
        say()
        say("problems")
        for problem in found.problems:
            say(f" {SIGNS['warn']} {problem.where}: {problem.what}")


def _by_copy(proofs: Iterable[Proof]) -> dict[tuple[str, str, str], Proof]:
    return {(proof.kind, proof.repository, proof.id): proof for proof in proofs}


def _words(proof: Proof | None, zone: ZoneInfo) -> str:
    """When a copy was proven and how that went."""
    if proof is None:
        return "never verified"
    how = "verified" if proof.drill is None else "restored"
    told = {True: how, False: "FAILED", None: "cannot be verified"}[proof.ok]
    return f"{told} {stamp(proof.at, zone)}"
