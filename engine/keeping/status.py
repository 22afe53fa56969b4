"""The status of the five protected things: pure rules over the catalog, the proofs, the policy and the live facts.

A copy older than the policy is a warning, older than twice that critical; so are no copy at all, and one that was
found damaged when it was verified last, or failed the newest proof drill; a proof drill that was refused is a warning.
Copies on the device of what they protect are a warning, always. What is not in the site file is not judged, only said.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from humanize import naturalsize, precisedelta
from msgspec import Struct, field

from engine.keeping.proofs import Proofs, of_copies
from engine.records.copies import Catalog
from engine.records.copying import Proof, RefusedProof
from engine.records.status import Advice, ArchiverFacts, Level, SiteStatus, Stream, Thing, ThingName, worst
from engine.records.survey import FileSystem

_FULL, _NEARLY_FULL = 0.02, 0.10  # of a repository's file system that is free


class Newest(NamedTuple):
    """A thing's newest usable copy: its id, its kind, the repository it lies in, and the moment that it holds."""

    id: str
    kind: str
    repository: str
    at: datetime


class LiveFacts(Struct, frozen=True):
    """What was asked of the machine. ``changed_files``: how many of the users' files are newer than the newest
    snapshot (None: not known), ``uncounted``: why that is not known. ``rooms``: the file system of each repository that
    answered; ``beside``: repositories on the device of what they protect; ``away``: those that did not answer.
    ``reached``: the archive has, unbroken behind a usable backup, all that does not wait to be archived, up to the
    segment that the server writes; ``joins``: what the stream brings now goes on where that WAL ends."""

    archiver: ArchiverFacts | None = None
    no_archiver: str | None = None
    changed_files: int | None = None
    uncounted: str | None = None
    rooms: Mapping[str, FileSystem] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()
    away: frozenset[str] = frozenset()
    reached: bool = False
    joins: bool = False


class SetUp(Struct, frozen=True):
    """What the site file has of each thing: its repositories' folders (none: not set up), and its policy in seconds.
    ``sources`` are the git repositories that are to be copied."""

    site: str
    places: Mapping[ThingName, Sequence[str]]
    policy: Mapping[ThingName, int | None]
    sources: Sequence[str] = ()


def judge(
    setup: SetUp, catalog: Catalog, archived_to: datetime | None, proofs: Proofs, live: LiveFacts, now: datetime,
    refused: RefusedProof | None = None,
) -> SiteStatus:  # fmt: skip
    """``archived_to``: the last commit in the unbroken archived WAL behind a usable backup. ``refused``: the last proof
    drill was; it is the database's, as without that nothing is restored."""
    newest = newest_copies(catalog, archived_to)
    copied = {each.origin for each in catalog.sources}
    lacking = [origin for origin in setup.sources if origin not in copied] if copied else []
    things = tuple(
        _thing(
            name,
            setup,
            newest.get(name),
            _proofs_of(name, proofs, catalog),
            live,
            now,
            refused if name == "database-full" else None,
            lacking if name == "source" else (),
            newest.get("database-full"),
        )
        for name in setup.places
    )
    return SiteStatus(setup.site, now, things, tuple(advise(things)), archived_to)


def newest_copies(catalog: Catalog, archived_to: datetime | None) -> dict[ThingName, Newest]:
    found: dict[ThingName, Newest] = {}

    def offer(name: ThingName, copy: Newest) -> None:
        if name not in found or copy.at > found[name].at:
            found[name] = copy

    for backup in catalog.base_backups:
        if backup.usable and not backup.incremental and backup.started_at:
            offer("database-full", Newest(backup.id, "base", backup.repository, backup.started_at))
    for dump in catalog.dumps:
        if dump.usable:
            offer("database-full", Newest(dump.id, "dump", dump.repository, dump.started_at))
    if archived_to is not None:
        offer("database-incremental", Newest("wal", "wal", "", archived_to))
    for snapshot in catalog.media_snapshots:
        if snapshot.usable:
            offer("files", Newest(snapshot.id, "media", snapshot.repository, snapshot.started_at))
    by_origin: dict[str, Newest] = {}
    for source in sorted(catalog.sources, key=lambda each: each.started_at):
        by_origin[source.origin] = Newest(source.id, "source", str(source.path.parent), source.started_at)
    if by_origin:  # each is its own: the one that is furthest behind
        found["source"] = min(by_origin.values(), key=lambda each: each.at)
    for image in catalog.images:
        if image.usable:
            offer("environment", Newest(image.id, "image", str(image.path.parent), image.started_at))
    return found


_KINDS: Mapping[ThingName, tuple[str, ...]] = {
    "database-full": ("base", "dump"), "database-incremental": ("wal",), "files": ("media",), "source": ("source",),
    "environment": ("image",),
}  # fmt: skip


def _proofs_of(name: ThingName, proofs: Proofs, catalog: Catalog) -> list[Proof]:
    """The proofs of a thing's copies that are still there, newest first."""
    kinds = _KINDS[name]
    found = [proof for proof in of_copies(proofs, catalog).values() if proof.kind in kinds]
    found.sort(key=lambda proof: proof.at, reverse=True)
    newest = next((proof.drill for proof in found if proof.drill is not None), None)
    return [proof for proof in found if proof.drill in (None, newest)]  # a drill tries what those before it tried


_BY_AGE = ("database-full", "source", "environment")  # what changed since the newest copy is all that is known of them


def _thing(
    name: ThingName, setup: SetUp, newest: Newest | None, proofs: Sequence[Proof], live: LiveFacts, now: datetime,
    refused: RefusedProof | None = None, lacking: Sequence[str] = (), full: Newest | None = None,
) -> Thing:  # fmt: skip
    """``lacking``: what belongs to it and has no copy at all, while the rest has. ``full``: the newest copy of the
    whole database, which stays where no change since can be brought back."""
    policy, places = setup.policy.get(name), setup.places[name]
    if not places:
        return Thing(name, Level.OK, None, None, None, policy, findings=("not set up in the site file",))
    told = list(_findings(name, newest, policy, places, live, now))
    told += [(Level.CRITICAL, f"there is no copy of {each}") for each in lacking]
    failed = [proof for proof in proofs if proof.ok is False]
    unproven = [proof for proof in proofs if proof.ok is None]
    if failed:
        what = "is damaged" if failed[0].drill is None else f"failed its proof drill ({failed[0].drill})"
        told.append((Level.CRITICAL, f"{failed[0].id} {what}: {'; '.join(failed[0].findings[:1])}"))
    elif unproven and unproven[0] is proofs[0]:
        told.append((Level.WARNING, f"{unproven[0].id} cannot be verified: {'; '.join(unproven[0].findings[:1])}"))
    elif newest is not None and not proofs:
        told.append((Level.OK, "never verified"))
    if refused is not None:
        when = f"{refused.at:%Y-%m-%d %H:%M} UTC"
        told.append((Level.WARNING, f"the last proof drill was refused, {when}: {refused.why}"))
    told.sort(key=lambda each: _URGENT.index(each[0]) if each[0] in _URGENT else len(_URGENT))
    age = (now - newest.at).total_seconds() if newest is not None else None
    lose = age if name in _BY_AGE else None
    if name == "database-incremental":
        kept = newest or full
        lose = _lost_seconds((now - kept.at).total_seconds() if kept is not None else None, live)
    return Thing(
        name,
        worst([level for level, _ in told]),
        newest.id if newest else None,
        newest.at if newest else None,
        round(age, 3) if age is not None else None,
        policy,
        proofs[0].at if proofs else None,
        proofs[0].ok if proofs else None,
        round(lose, 3) if lose is not None else None,
        live.changed_files if name == "files" else None,
        tuple(finding for _, finding in told),
        proofs[0].drill if proofs else None,
    )


def _findings(
    name: ThingName, newest: Newest | None, policy: int | None, places: Sequence[str], live: LiveFacts, now: datetime
) -> Iterable[tuple[Level, str]]:
    away = [place for place in places if place in live.away]
    for place in away:
        yield Level.UNKNOWN, f"{place} does not answer"
    if name == "database-incremental":
        yield from _archiving(live)
    if newest is None:
        if not away:
            yield Level.CRITICAL, "there is no copy"
    elif policy is not None and not (name == "files" and live.changed_files == 0):
        age = (now - newest.at).total_seconds()
        if name == "database-incremental":
            lost = _lost_seconds(age, live)
            age = lost if lost is not None else age
        if age > policy:
            level = Level.CRITICAL if age > 2 * policy else Level.WARNING
            yield level, f"the newest copy is {_age(age)} old, the policy wants {_age(policy)}"
    for place in places:
        if place in live.beside:
            yield Level.WARNING, f"lies on the device of what it protects: {place}"
        room = live.rooms.get(place)
        if room is not None and room.total_bytes:
            free = room.free_bytes / room.total_bytes
            if free < _NEARLY_FULL:
                told = f"{place} has {naturalsize(room.free_bytes, binary=True)} left ({100 * free:.0f} %)"
                yield Level.CRITICAL if free < _FULL else Level.WARNING, told
        if room is not None and room.total_files:  # snapshots are many small ones
            free = room.free_files / room.total_files
            if free < _NEARLY_FULL:
                told = f"{place} takes {room.free_files} more files ({100 * free:.0f} %), whatever room is left"
                yield Level.CRITICAL if free < _FULL else Level.WARNING, told
    if name == "files" and live.uncounted is not None:
        yield Level.OK, live.uncounted


def _lost_seconds(age: float | None, live: LiveFacts) -> float | None:
    """What of the database's changes would be lost now, in seconds; nothing where all that there is has been copied,
    however long ago, and a backup reaches it. ``age`` of what can be brought back at last: all that is
    known of a stream that does not go on where that WAL ends, that catches up, or that has not said how far it is."""
    facts = live.archiver
    if facts is None:
        return None
    if live.reached and not facts.begun and not facts.waiting:
        return 0.0
    stream = facts.stream
    if stream is None or not stream.active or not live.joins or age is None:
        return age
    if stream.behind_bytes == 0:
        return 0.0
    return min(age, stream.lag_seconds) if stream.behind_bytes and stream.lag_seconds is not None else age


def _archiving(live: LiveFacts) -> Iterable[tuple[Level, str]]:
    facts = live.archiver
    if facts is None:
        yield Level.UNKNOWN, live.no_archiver or "the server does not answer"
        return
    if facts.mode != "off":
        yield from _archive_command(facts, live)
    elif facts.stream is None:
        yield Level.CRITICAL, "archive_mode is off: no change since the last base backup is copied"
    if facts.stream is not None:
        yield from _streaming(facts.stream, live.joins, alone=facts.mode == "off" or not facts.command)
    if facts.wal_bytes > 2 * facts.max_wal_bytes:
        size = naturalsize(facts.wal_bytes, binary=True)
        yield Level.WARNING, f"pg_wal has grown to {size}, twice max_wal_size"
    ours = [(facts.stream.slot, facts.stream.held_bytes)] if facts.stream is not None and facts.stream.active else []
    for slot, held in (*facts.slots, *ours):
        if held > facts.max_wal_bytes:
            yield Level.WARNING, f"replication slot {slot} holds {naturalsize(held, binary=True)} of WAL back"


def _archive_command(facts: ArchiverFacts, live: LiveFacts) -> Iterable[tuple[Level, str]]:
    fails = facts.failed_at is not None and (facts.archived_at is None or facts.failed_at > facts.archived_at)
    if not facts.command:
        yield Level.CRITICAL, "archive_command is empty: WAL piles up in pg_wal"
    if fails:
        yield Level.CRITICAL, f"archive_command fails, last for {facts.failed_segment}"
    if facts.command and not fails and not live.reached and not live.away:
        told = "what is archived is not in the repository, or lies behind a gap, or behind no backup"
        yield Level.CRITICAL, f"{told}: reprise backup base"
    if facts.waiting > 3:
        yield Level.WARNING, f"{facts.waiting} segments wait to be archived"


def _streaming(stream: Stream, joins: bool, *, alone: bool) -> Iterable[tuple[Level, str]]:
    """``alone``: no archive command brings what the stream does not."""
    level = Level.CRITICAL if alone else Level.WARNING
    if stream.lost:
        then = "reprise archiving stream --accept-gap, and reprise backup base"
        yield level, f"replication slot {stream.slot} has lost WAL (max_slot_wal_keep_size): {then}"
    elif not stream.active:
        held = naturalsize(stream.held_bytes, binary=True)
        without = "no change is copied" if alone else "archive_command goes on"
        yield level, f"nobody streams: {without}; replication slot {stream.slot} holds {held} of WAL back"
    elif stream.segment is not None and not joins:
        yield level, "what is streamed goes on behind a gap, or behind no backup: reprise backup base"
    elif alone and stream.segment is not None:
        told = f"streamed; what came last may lie in {stream.segment}.partial until that segment is full"
        yield Level.OK, f"{told}, or adopted: reprise archiving adopt"


_SPOKEN: Mapping[ThingName, str] = {
    "database-full": "the database", "database-incremental": "every change", "files": "the files",
    "source": "the source code", "environment": "the environment",
}  # fmt: skip
_URGENT = (Level.CRITICAL, Level.UNKNOWN, Level.WARNING)


def advise(things: Iterable[Thing]) -> list[Advice]:
    """What to do, the most urgent first; what is well but was never verified comes last."""
    found = list(things)
    wanted = [_advice(thing) for level in _URGENT for thing in found if thing.level is level]
    unproven = [thing for thing in found if thing.level is Level.OK and thing.newest and thing.proven_at is None]
    return wanted + [
        Advice(thing.name, "verify", f"verify the copies of {_SPOKEN[thing.name]}", "never verified")
        for thing in unproven
    ]


def _advice(thing: Thing) -> Advice:
    spoken, why = _SPOKEN[thing.name], thing.findings[0] if thing.findings else ""
    old = thing.policy_seconds is not None and (thing.age_seconds or 0) > thing.policy_seconds
    if thing.proof_ok is False and thing.proof_drill is not None:
        return Advice(thing.name, "look", f"see why {spoken} failed the proof drill", why)
    if thing.proof_ok is False:
        return Advice(thing.name, "copy", f"copy {spoken} anew", why)
    if thing.name != "database-incremental" and (thing.newest is None or old):
        return Advice(thing.name, "copy", f"copy {spoken}", why)
    title = "see to the archiving" if thing.name == "database-incremental" else f"see to the copies of {spoken}"
    return Advice(thing.name, "look", title, why)


def _age(seconds: float) -> str:
    return precisedelta(int(seconds), minimum_unit="seconds" if seconds < 120 else "minutes", format="%d")
