"""Records as the documents of CONTRACT.md. Unknown is null; LSNs as PostgreSQL prints them."""

import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from engine.records.copies import Problem
from engine.records.errors import Refused, RepriseError
from engine.records.history import TransactionEnd
from engine.records.lsn import Lsn, format_lsn
from engine.records.plan import Check, Estimate, Plan
from engine.records.runs import Reached, RunState
from engine.records.target import RecoveryPoint, RecoveryTarget, RecoveryWindow

Document = dict[str, Any]

# Beyond the controls that JSON itself wants escaped: DEL and the C1 controls, line separators, direction marks.
_UNSEEN = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def write(document: Document) -> None:
    """One document on stdout."""
    sys.stdout.buffer.write(msgspec.json.format(encoded(document), indent=2) + b"\n")
    sys.stdout.buffer.flush()


def encoded(document: Document | str) -> bytes:
    """As JSON. Names that are not UTF-8 come escaped, never as an error; so does, as a document may be looked at on a
    terminal, what would do something there."""
    try:
        data = msgspec.json.encode(document)
    except UnicodeEncodeError:
        data = msgspec.json.encode(_in_unicode(document))
    if data.isascii() and b"\x7f" not in data:
        return data
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", data.decode()).encode()


def _in_unicode(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_in_unicode(key): _in_unicode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_in_unicode(item) for item in value]
    return value


def time(value: datetime | None) -> str | None:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if value else None


def lsn(value: Lsn | None) -> str | None:
    return format_lsn(value) if value is not None else None


def error_document(error: RepriseError, *, restoring: bool = False) -> Document:
    """Why a command could not be done; ``restoring``: with the run that it made, or null."""
    outcome = "refused" if isinstance(error, Refused) else "interrupted" if error.exit_code == 130 else "failed"
    return {**({"run": error.run} if restoring else {}), "outcome": outcome, "error": _error(error)}


def _error(error: Any) -> Document | None:
    return {"message": error.message, "cause": error.cause, "remedy": error.remedy} if error else None


def list_problems(found: Iterable[Problem]) -> list[Document]:
    return [{"where": each.where, "what": each.what, "remedy": each.remedy} for each in found]


def media(snapshot: Any) -> Document:
    return {
        "id": snapshot.id,
        "repository": snapshot.repository,
        "path": str(snapshot.path),
        "started_at": time(snapshot.started_at),
        "stopped_at": time(snapshot.stopped_at),
        "size_bytes": snapshot.size_bytes,
        "files": snapshot.files,
        "usable": snapshot.usable,
        "reason": snapshot.reason,
    }


def windows(found: Iterable[RecoveryWindow]) -> Document:
    return {
        "windows": [
            {
                "backup": each.backup,
                "timeline": each.timeline,
                "from": {"lsn": lsn(each.from_lsn), "at": time(each.from_at)},
                "to": {"lsn": lsn(each.to_lsn), "at": time(each.to_at)},
                "segments": each.segments,
                "bytes": each.bytes,
                "ended_by": each.ended_by,
            }
            for each in found
        ]
    }


def plan(planned: Plan) -> Document:
    return {
        "outcome": "refused" if planned.refused else "planned",
        **_plan_keys(planned),
        "files": _files(planned),
        "steps": [{"name": step.name, "title": step.title, "bytes": step.bytes} for step in planned.steps],
        "checks": [check(each) for each in planned.checks],
    }


def _files(planned: Plan) -> Document | None:
    """The users' files of a plan."""
    files = planned.files
    if files is None:
        return None
    return {
        "moment": time(files.moment),
        "snapshots": [each.id for each in files.snapshots],
        "reserve": [each.id for each in files.reserve],
        "place": files.place,
        "folder": files.folder,
        "set_aside": files.set_aside,
        "earlier": list(files.earlier),
        "asked": files.asked,
        "fast": files.fast,
        "path": files.only,
        "files": files.files,
        "bytes": files.bytes,
    }


def refusal(planned: Plan) -> Document:
    """A restore that a check refused: its report without a run."""
    return {
        **plan(planned),
        "outcome": "refused",
        "files": None,
        "run": None,
        "data_dir": None,
        "host": None,
        "port": None,
        "reached": None,
        "steps": _to_do(planned),
        "error": _refusal(planned),
        **({"rpo_seconds": None, "rto_seconds": None} if planned.proof is not None else {}),
    }


def started(state: RunState) -> Document:
    """A run that is left to itself."""
    return {"run": state.run, "outcome": state.outcome, "pid": state.pid, "error": _error(state.error)}


def report(state: RunState) -> Document:
    return {
        **_plan_keys(state.plan),
        "run": state.run,
        "outcome": state.outcome,
        "pid": state.pid,
        "started_at": time(state.started_at),
        "finished_at": time(state.finished_at),
        "destination": _destination(state.plan),
        "data_dir": state.data_dir,
        "host": state.host,
        "port": state.port,
        "reached": _reached(state.reached),
        "rto_seconds": state.recovery.rto_seconds if state.recovery else None,
        "rpo_seconds": state.recovery.rpo_seconds if state.recovery else None,
        "waited_seconds": state.waited,
        "files": dict(state.files) if state.files is not None else None,
        "steps": _steps(state),
        "checks": [check(each) for each in (*state.plan.checks, *state.checks)],
        "error": _error(state.error),
        "answers": list(state.answers),
        "notes": [dict(note) for note in state.notes],
        **_proof(state),
    }


def _proof(state: RunState) -> Document:
    """What a proof drill came to, within which limits."""
    proof, limits, told = state.plan.proof, state.plan.limits, state.told
    if proof is None or limits is None:
        return {}
    return {
        "rpo_seconds": proof.rpo_seconds,
        "rpo_why": proof.rpo_why,
        "rto_seconds": told.rto_seconds if told is not None else None,
        "limits": {"nice": limits.nice, "idle_io": limits.idle_io, "bytes_per_second": limits.bytes_per_second},
    }


def copy(state: RunState) -> Document:
    """The report of a run that takes a copy."""
    taken = state.taken
    return {
        "id": state.run,
        "run": state.run,
        "outcome": state.outcome,
        "pid": state.pid,
        "copy": {
            "id": taken.id,
            "kind": taken.kind,
            "path": taken.path,
            "size_bytes": taken.size_bytes,
            "started_at": time(taken.started_at),
            "stopped_at": time(taken.stopped_at),
            **taken.facts,
        }
        if taken
        else None,
        "steps": _steps(state),
        "checks": [check(each) for each in (*state.plan.checks, *state.checks)],
        "error": _error(state.error),
        "answers": list(state.answers),
    }


def copy_refusal(planned: Plan) -> Document:
    """A copy that a check refused."""
    return {
        "id": None,
        "run": None,
        "outcome": "refused",
        "copy": None,
        "steps": _to_do(planned),
        "checks": [check(each) for each in planned.checks],
        "error": _refusal(planned),
    }


def _to_do(planned: Plan) -> list[Document]:
    return [
        {"name": step.name, "title": step.title, "outcome": "to do", "seconds": None, "bytes": step.bytes}
        for step in planned.steps
    ]


def _steps(state: RunState) -> list[Document]:
    return [
        {
            "name": step.name,
            "title": step.title,
            "outcome": step.outcome,
            "seconds": step.seconds,
            "bytes": step.bytes,
        }
        for step in state.steps
    ]


def _refusal(planned: Plan) -> Document:
    failed = [each for each in planned.checks if each.refuses]
    return {
        "message": "; ".join(f"{each.name}: {each.finding}" for each in failed) or "the plan was refused",
        "cause": None,
        "remedy": "; ".join(each.remedy for each in failed if each.remedy) or None,
    }


def runs(found: Iterable[RunState], problems: Iterable[Problem]) -> Document:
    return {
        "runs": [
            {
                "run": state.run,
                "outcome": state.outcome,
                "pid": state.pid,
                "started_at": time(state.started_at),
                "finished_at": time(state.finished_at),
                "destination": _destination(state.plan),
                "target": target(state.plan.target) if state.plan.target else None,
            }
            for state in found
        ],
        "problems": list_problems(problems),
    }


def check(answered: Check) -> Document:
    return {
        "name": answered.name,
        "level": answered.level,
        "ok": answered.ok,
        "finding": answered.finding,
        "remedy": answered.remedy,
    }


def target(asked: RecoveryTarget) -> Document:
    return {
        "kind": asked.kind,
        "time": time(asked.time),
        "lsn": lsn(asked.lsn),
        "xid": asked.xid,
        "name": asked.name,
        "exclusive": asked.exclusive,
    }


def _plan_keys(planned: Plan) -> Document:
    point = planned.point
    return {
        "target": target(planned.target) if planned.target else None,
        "backup": point.backup.id if point else None,
        "chain": [backup.id for backup in point.chain] if point else None,
        "timeline": point.timeline if point else None,
        "stop_lsn": lsn(point.gate) if point else None,
        "wal": _wal(point),
        "kept_until": _end(point.kept_commit) if point else None,
        "lost_from": _end(point.lost_commit) if point else None,
        "lost_commits": point.lost_commits if point else None,
        "bytes_to_copy": planned.bytes_to_copy,
        "estimate_seconds": _estimate(planned.estimate),
        "media": [media(each) for each in point.media] if point else None,
    }


def _wal(point: RecoveryPoint | None) -> Document | None:
    if point is None:
        return None
    return {
        "first": point.wal_first,
        "last": point.wal_last,
        "segments": point.wal_segments,
        "bytes": point.wal_bytes,
    }


def _end(end: TransactionEnd | None) -> Document | None:
    return {"at": time(end.at), "xid": end.xid, "lsn": lsn(end.lsn)} if end else None


def _estimate(estimate: Estimate | None) -> Document | None:
    if estimate is None:
        return None
    return {
        "low": estimate.low,
        "likely": estimate.likely,
        "high": estimate.high,
        "runs": estimate.runs,
        "limited": estimate.limited,
    }


def _reached(reached: Reached | None) -> Document | None:
    if reached is None:
        return None
    return {
        "lsn": lsn(reached.lsn),
        "last_commit_at": time(reached.last_commit_at),
        "last_commit_xid": reached.last_commit_xid,
        "timeline": reached.timeline,
        "new_timeline": reached.new_timeline,
        "proven": reached.proven,
        "finding": reached.finding,
    }


def _destination(planned: Plan) -> Document:
    return {"kind": planned.destination.kind, "path": planned.destination.path}
