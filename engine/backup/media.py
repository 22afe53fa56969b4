"""The plan of a media snapshot."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from engine.backup.planning import VERIFY, Place, copying_at, make_plan, place_checks
from engine.records.copies import MediaSnapshot
from engine.records.plan import Check, Plan, PlannedStep
from engine.records.survey import OsUser
from engine.recovery.estimates import Measured


def plan_media(
    site: str,
    live: str,
    live_answers: bool,
    place: Place,
    snapshots: Sequence[MediaSnapshot],
    *,
    owner: OsUser,
    now: datetime,
    second: str | None = None,
    measured: Iterable[Measured] = (),
    failed: Collection[str] = (),
) -> Plan:
    """``snapshots`` are the repository's, oldest first: the newest usable one with a catalogue is shared with, but for
    those whose last proof found damage (``failed``): a hard link would hand it on."""
    name = f"{now:%Y%m%dT%H%M%SZ}"
    sound = [each for each in snapshots if each.usable and each.has_catalogue and each.id not in failed]
    before = sound[-1] if sound else None
    copying = copying_at("media", place, name, owner, parent=before.id if before else None, second=second)
    known = before.files if before is not None else None
    shared = f", sharing what did not change with {before.id}" if before is not None else ""
    step = PlannedStep("take-media", "take-media", f"copy {live}{shared}", None, {"live": live, "files": known})
    checks = [_live(live, live_answers), *place_checks(place, owner, None)]
    return make_plan(site, now, copying, [step, VERIFY], checks, bytes=None, measured=measured)


def _live(live: str, answers: bool) -> Check:
    if answers:
        return Check("media-folder", "refuse", True, f"{live} is there")
    remedy = "see that it is mounted; an empty snapshot of it would be no copy"
    return Check("media-folder", "refuse", False, f"{live} is away, or empty", remedy)
