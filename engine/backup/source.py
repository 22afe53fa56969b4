"""The plan of a copy of a git repository: its mirror brought up to date, or one more bundle."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import PurePosixPath
from shlex import quote

from msgspec.structs import replace

from engine.backup.planning import Place, copying_at, make_plan, place_checks
from engine.records.plan import Check, Plan, PlannedStep
from engine.records.survey import OsUser
from engine.recovery.estimates import Measured
from engine.source.copies import BUNDLE


def plan_source(
    site: str,
    origin: str,
    form: str,
    target: str,
    reachable: str | None,
    uncommitted: int,
    place: Place,
    *,
    owner: OsUser,
    now: datetime,
    second: str | None = None,
    measured: Iterable[Measured] = (),
) -> Plan:
    """``target`` is the mirror, or the folder of bundles; ``place`` the folder that it is made in. ``reachable`` None:
    git reaches the origin; else why not."""
    name = PurePosixPath(origin.rstrip("/")).name.removesuffix(".git") or "source"
    if form == "mirror":
        copying = copying_at("source", place, PurePosixPath(target).name, owner, second=second)
        title = f"bring the mirror of {origin} up to date"
    else:
        id = f"{now:%Y%m%dT%H%M%SZ}-{name}"
        copying = replace(copying_at("source", place, id + BUNDLE, owner, second=second), id=id)
        title = f"bundle {origin}"
    step = PlannedStep("take-source", "take-source", title, None, {"origin": origin, "form": form})
    checks = [_origin(origin, reachable)]
    if uncommitted:
        finding = f"{uncommitted} files or folders in {origin} are changed or new, and in no commit: no copy has them"
        checks.append(Check("uncommitted", "warn", False, finding, f"see: git -C {quote(origin)} status"))
    checks += place_checks(place, owner, None)
    return make_plan(site, now, copying, [step], checks, bytes=None, measured=measured)


def _origin(origin: str, why_not: str | None) -> Check:
    if why_not is None:
        return Check("source-reachable", "refuse", True, f"git reads {origin}")
    return Check("source-reachable", "refuse", False, f"git cannot read {origin}: {why_not}", "mend the site or access")
