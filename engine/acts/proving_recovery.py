"""Proof drills: the site's own copies restored beside production, looked through, and thrown away again.

Production is only read. What a drill of ours that died has left is taken away before the next one is planned, and
nothing else is.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from random import SystemRandom

from engine.acts.bringing import look_up_beside_database
from engine.acts.desk import Desk, writable
from engine.acts.drilled import known_proofs
from engine.acts.following import measured, run_state, runs
from engine.acts.looking import View, look, read_archive
from engine.acts.restoring import plan, run_as_of
from engine.acts.running import rollback
from engine.archiving.streaming import slot_of
from engine.keeping.proofs import forget_refusal, keep_refusal
from engine.records.copying import RefusedProof
from engine.records.errors import Refused, RepriseError, Unreachable
from engine.records.files import Files
from engine.records.plan import Check, Destination, Limits, Plan, ProofDrill
from engine.records.runs import RunState
from engine.records.survey import OsUser
from engine.records.target import RecoveryTarget
from engine.recovery.proof_drills import as_proof, limits_check, random_target, room_check
from engine.recovery.windows import goes_on
from engine.run.locks import lock_holder, proof_lock, site_lock
from engine.run.starting import wait_for_end
from engine.survey.archiver import ask_archiver
from engine.survey.machine import file_system
from engine.system.users import may_reach

_COMMAND = "reprise drill proof"
_CLEARING = 3600.0  # seconds that the remains of a dead drill may take to be deleted


def prepare_proof_drill(
    desk: Desk, target: RecoveryTarget | None, cleared: Callable[[str], None] = lambda run: None
) -> Plan:
    """The plan of a proof drill that is to be carried out now: what dead ones left is taken away first (``cleared``
    hears their names). That it is refused is kept for `status`: a drill that the schedule calls has nobody to tell.
    Raises RepriseError."""
    try:
        for run in clear_dead_drills(desk):
            cleared(run)
        planned = plan_proof_drill(desk, target)
    except RepriseError as error:
        _keep_refusal(desk, ": ".join(filter(None, (error.message, error.cause))))
        raise
    if planned.refused:
        found = [f"{check.name}: {check.finding}" for check in planned.checks if check.refuses]
        _keep_refusal(desk, "; ".join(found) or "the target cannot be resolved")
    else:
        forget_refusal(desk.state, desk.site.name)
    return planned


def _keep_refusal(desk: Desk, why: str) -> None:
    """As far as it can be kept: the refusal itself is told all the same."""
    if not desk.read_only:
        with suppress(RepriseError):
            keep_refusal(desk.state, desk.site.name, RefusedProof(datetime.now(UTC), why))


def plan_proof_drill(desk: Desk, target: RecoveryTarget | None) -> Plan:
    """The plan of a proof drill: of a target, or of a random moment (None). Reads the archive's new segments first;
    changes nothing else. Raises Refused where there is no moment to choose."""
    read_archive(desk)
    view = look(desk)
    target = target or random_target(view.windows, SystemRandom())
    if target is None:
        raise Refused("there is no recovery window to choose a moment from", remedy="see: reprise windows")
    now = datetime.now(UTC)
    planned: Plan | None = None
    for folder in _places(desk, run_as_of(desk)):
        planned = _plan_in(desk, view, target, folder / f"{desk.site.name}-{now:%Y%m%dT%H%M%SZ}")
        if not any(check.refuses and check.name in ("disk-space", "proof-room") for check in planned.checks):
            break
    assert planned is not None
    return planned


def _plan_in(desk: Desk, view: View, target: RecoveryTarget, container: Path) -> Plan:
    wanted = desk.site.proof
    planned = plan(desk, target, Destination("side-copy", str(container)), files=False, view=view, command=_COMMAND)
    limits = Limits(wanted.nice, wanted.idle_io, wanted.bytes_per_second)
    files: Files | None = None
    checks = [limits_check(limits), *_held(desk)]
    media = desk.site.media
    if planned.point is not None and planned.layout is not None:
        if (room := file_system(planned.layout.container)) is not None:
            found = room_check(planned.point, planned.layout, room, _shared_with(desk, room.device))
            checks += [found] if found is not None else []
        if wanted.files == "check" and media is not None and media.references is not None:
            files = look_up_beside_database(desk, planned, view)
        elif media is not None:
            why = "skipped, as the site file says" if wanted.files == "skip" else "[media] has no references to ask for"
            checks.append(Check("files", "info", None, f"the users' files are not looked up: {why}"))
    return as_proof(planned, _loss(desk, view, planned), limits, files, checks, measured(desk))


def _places(desk: Desk, run_as: OsUser) -> Iterator[Path]:
    """The folders that a drill's copy may be made in: the site's, else one below the state folder or below /var/tmp,
    where the server's user can come."""
    if desk.site.proof.into is not None:
        yield Path(desk.site.proof.into)
        return
    if may_reach(run_as, desk.state):
        yield desk.state / "proof-copies"
    public = Path(f"/var/tmp/reprise-proofs-{os.geteuid()}")
    if _is_ours(public):
        yield public
    elif not may_reach(run_as, desk.state):
        remedy = 'name a folder for the copy in the site file: [proof] into = "/…"'
        raise Refused(f"{run_as.name} cannot reach {desk.state}, and {public} is somebody else's", remedy=remedy)


def _is_ours(folder: Path) -> bool:
    """Whether a folder is not there yet, or nobody else may put anything into it or in its place."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _shared_with(desk: Desk, device: int) -> list[str]:
    """Who else lives on a file system."""
    site = desk.site
    named = [("production", site.database.data_dir), *(("its archive", each.wal) for each in site.database.repository)]
    named += [("its base backups", each.base_backups) for each in site.database.repository]
    named += [("the users' files", site.media.path)] if site.media is not None else []
    rooms = ((what, file_system(path)) for what, path in named)
    return list(dict.fromkeys(what for what, room in rooms if room is not None and room.device == device))


def _held(desk: Desk) -> list[Check]:
    """Whoever recovers in earnest, or drills already, is not to be disturbed."""
    site = desk.site.name
    for path in (site_lock(desk.state, site), proof_lock(desk.state, site)):
        if (holder := lock_holder(path)) is not None:
            finding = f"{holder.run} is at work, process {holder.pid} of {holder.user}"
            return [Check("another-run", "refuse", False, finding, f"wait for it: reprise attach {holder.run}")]
    return []


def _loss(desk: Desk, view: View, planned: Plan) -> ProofDrill:
    """What would be lost, had the machine died when the plan was made, with all of production's pg_wal."""
    point = planned.point
    if point is None or planned.target is None or planned.target.kind != "latest":
        return ProofDrill(None, "another moment than the newest is proven")
    try:
        archiver = ask_archiver(desk.site, run_as_of(desk), slot_of(desk.site.name))
    except RepriseError as error:
        return ProofDrill(None, f"what production wrote and did not archive is not known: {error.message}")
    size = view.histories[point.backup.repository].segment_size
    reached = goes_on(archiver.segment, view.catalog.wal_ranges, point.wal_last or "", size)
    if reached and not archiver.begun and not archiver.waiting and point.lost is None:
        return ProofDrill(0.0, "production has written nothing that the archive has not")
    if point.kept_commit is None:
        return ProofDrill(None, "no commit is known behind the backup")
    seconds = (planned.created_at - point.kept_commit.at).total_seconds()
    return ProofDrill(round(max(0.0, seconds), 3), "from the last commit that can be recovered to the drill's start")


# What earlier drills left


def clear_dead_drills(desk: Desk) -> list[str]:
    """Take away what proof drills of this site have left that failed or died on their way: their servers, their copies.
    What came of those that failed is kept first. Returns their names. Raises RepriseError where one cannot be."""
    known_proofs(writable(desk))
    dead = [run for run in runs(desk) if _is_dead(desk, run)]
    for run in dead:
        rollback(desk, run.run)
        if not wait_for_end(Path(run.folder), _CLEARING):
            raise Unreachable(f"the remains of {run.run} are not deleted yet", remedy=f"reprise attach {run.run}")
        left = run_state(desk, run.run)
        if left.outcome != "rolled-back":
            why = left.error.message if left.error is not None else left.outcome
            raise RepriseError(f"the remains of {run.run} cannot be deleted", cause=why, remedy=f"see {left.folder}")
    return [run.run for run in dead]


def _is_dead(desk: Desk, run: RunState) -> bool:
    return run.plan.proof is not None and run.plan.site == desk.site.name and "rollback" in run.answers
