"""The status for people and monitors: a line in the manner of Nagios' plug-ins, a file for Prometheus' node exporter.

Formats: "Nagios Plugins Development Guidelines" (plug-in output, performance data); Prometheus, "Exposition formats";
the node exporter's textfile collector wants a file that is replaced in one piece.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

from engine.cli.printing import say
from engine.cli.telling import SIGNS, duration, stamp
from engine.records.errors import RepriseError
from engine.records.status import Level, SiteStatus, Thing

_SIGN = {Level.OK: "ok", Level.WARNING: "warn", Level.CRITICAL: "bad", Level.UNKNOWN: "warn"}


def tell(status: SiteStatus, zone: ZoneInfo) -> None:
    """The first line is the monitor's, a line for each thing follows."""
    bad = [f"{thing.name}: {_why(thing)}" for thing in status.things if thing.level is not Level.OK]
    ages = " ".join(filter(None, map(_performance, status.things)))
    told = "; ".join(bad) or "every copy is as new as the policy wants"
    say(_line(status.level, status.site, told) + (f" | {ages}" if ages else ""))
    for thing in status.things:
        sign = SIGNS[_SIGN[thing.level]]
        told = f"{thing.newest or '':<28} {_age(thing):<44} {_proof(thing, zone):<36} {_loss(thing)}"
        say(f" {sign} {thing.name:<22} {told}".rstrip())
        for finding in thing.findings:
            say(f"      {finding}")


def tell_unknown(site: str, why: str) -> None:
    """The monitor's line where there is no status."""
    say(_line(Level.UNKNOWN, site, why))


def _line(level: Level, site: str, told: str) -> str:
    """Behind a bar the monitor reads numbers."""
    return f"REPRISE {level.name} - {site}: {told.replace('|', '/')}"


def _performance(thing: Thing) -> str:
    """``label=value;warning;critical``"""
    if thing.age_seconds is None:
        return ""
    policy = thing.policy_seconds
    return f"{thing.name}={thing.age_seconds:.0f}s" + (f";{policy};{2 * policy}" if policy else "")


def _why(thing: Thing) -> str:
    return thing.findings[0] if thing.findings else thing.level.name.lower()


def _age(thing: Thing) -> str:
    wanted = f" (at most {duration(thing.policy_seconds)})" if thing.policy_seconds is not None else ""
    return f"no copy{wanted}" if thing.age_seconds is None else f"{duration(thing.age_seconds)} old{wanted}"


def _proof(thing: Thing, zone: ZoneInfo) -> str:
    if thing.proven_at is None:
        return "never verified" if thing.newest else ""
    how = "verified" if thing.proof_drill is None else "restored"
    return f"{how if thing.proof_ok else 'FAILED'} {stamp(thing.proven_at, zone)}"


def _loss(thing: Thing) -> str:
    if thing.lose_seconds is not None:
        most = "" if thing.name == "database-incremental" else "at most "  # the others' changes are not counted
        return f"would lose {most}{duration(thing.lose_seconds)}" if thing.lose_seconds else "would lose nothing"
    if thing.lose_files is not None:
        return f"would lose {thing.lose_files} files" if thing.lose_files else "would lose nothing"
    return ""


def write_metrics(status: SiteStatus, path: Path) -> None:
    """For the textfile collector, replaced in one piece, readable by all. Raises RepriseError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text("\n".join(_metrics(status)) + "\n")
        draft.chmod(0o644)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise RepriseError(
            f"the metrics cannot be written to {path}", cause=error.strerror, remedy="name another file: --prometheus"
        ) from None


def _metrics(status: SiteStatus) -> Iterator[str]:
    for name, help, value in (
        ("copy_level", "0 ok, 1 warning, 2 critical, 3 unknown", lambda thing: int(thing.level)),
        ("copy_age_seconds", "age of the newest usable copy", lambda thing: thing.age_seconds),
        ("copy_policy_seconds", "how old the newest copy may be", lambda thing: thing.policy_seconds),
        ("copy_proven_timestamp_seconds", "when a copy was last verified", lambda thing: _unix(thing)),
        ("copy_proof_ok", "whether that went well", lambda thing: _flag(thing.proof_ok)),
        ("would_lose_seconds", "of changes, if the machine died now", lambda thing: thing.lose_seconds),
        ("would_lose_files", "if the machine died now", lambda thing: thing.lose_files),
    ):
        yield f"# HELP reprise_{name} {help}"
        yield f"# TYPE reprise_{name} gauge"
        for thing in status.things:
            found = value(thing)
            if found is not None:
                yield f'reprise_{name}{{site="{_escaped(status.site)}",thing="{thing.name}"}} {found}'


def _unix(thing: Thing) -> float | None:
    return thing.proven_at.timestamp() if thing.proven_at else None


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
