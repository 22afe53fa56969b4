"""The plan of a copy of the environment: an installation folder packed, or a VM image registered."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec.structs import replace

from engine.backup.planning import VERIFY, Place, copying_at, make_plan, place_checks
from engine.environment.images import NOTE
from engine.records.plan import Check, Plan, PlannedStep
from engine.records.survey import OsUser
from engine.recovery.estimates import Measured


def plan_image(
    site: str,
    origin: str,
    form: str,
    origin_answers: bool,
    left_out: Sequence[str],
    mounted: Sequence[str],
    place: Place,
    *,
    owner: OsUser,
    now: datetime,
    second: str | None = None,
    measured: Iterable[Measured] = (),
) -> Plan:
    """``left_out``: folders inside ``origin`` that have copies of their own; ``mounted``: other file systems in it, of
    which nobody says that they have. The copy is what its note says: that is
    what gets its name last, behind the packed file."""
    id = f"{now:%Y%m%dT%H%M%SZ}"
    copying = replace(copying_at("image", place, id + NOTE, owner, second=second), id=id)
    title = f"pack {origin}" if form == "packed" else f"register {origin} with its checksum"
    args = {"origin": origin, "form": form, "left_out": list(left_out)}
    step = PlannedStep("take-image", "take-image", title, None, args)
    checks = [_origin(origin, origin_answers)]
    if left_out:
        checks.append(Check("left-out", "info", True, f"has copies of its own, left out: {', '.join(left_out)}"))
    if mounted:
        finding = f"another file system is mounted there, and is not packed: {', '.join(mounted)}"
        checks.append(Check("mounted-inside", "warn", False, finding, "copy what it holds by other means"))
    checks += place_checks(place, owner, None)
    steps = [step, VERIFY] if form == "packed" else [step]  # nothing was written of a registered one, but its note
    return make_plan(site, now, copying, steps, checks, bytes=None, measured=measured)


def _origin(origin: str, answers: bool) -> Check:
    finding = f"{origin} is there" if answers else f"{origin} is not there, or does not answer"
    return Check("environment", "refuse", answers, finding, None if answers else "mend [environment] in the site file")
