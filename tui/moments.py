"""Moments as people type them: ``14:03``, ``yesterday 18:00``, ``10 minutes before now``, an ISO time, an LSN, a
transaction id, a restore point's name. What was understood is said in words before anything is done with it.

A clock time alone means the cursor's day, or the day before where that one is still to come: at three in the morning
23:50 was yesterday. Times without an offset are the site's; one that the clocks skip or show twice is said to be so.
"""

import re
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from engine.records.lsn import Lsn, format_lsn, parse_lsn
from engine.records.target import RecoveryTarget
from tui import words


class Understood(Struct, frozen=True):
    """What a typed text means (``kind`` None: nothing) and how to say it."""

    kind: Literal["time", "lsn", "xid", "name"] | None
    words: str
    at: datetime | None = None
    lsn: Lsn | None = None
    xid: int | None = None
    name: str | None = None


_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,6}))?)?\Z")
_UNITS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400,
          "day": 86400, "w": 604800, "week": 604800}  # fmt: skip
_STEP = r"(\d+(?:\.\d+)?)\s*(weeks?|w|days?|d|hours?|h|minutes?|mins?|min|m|seconds?|secs?|sec|s)"
_RELATIVE = re.compile(rf"{_STEP}\s*(ago|before now|earlier|later|before cursor|after cursor|before|back|on)\Z", re.I)
_SIGNED = re.compile(rf"([+\-−])\s*{_STEP}\Z", re.I)
_NUMERIC_DAY = re.compile(r"\d{1,2}[/.]\d{1,2}[/.]\d{2,4}")
_XID = re.compile(r"(?:xid|transaction|tx)?\s*#?(\d{1,10})\Z", re.I)
_DAY_WORD = re.compile(
    r"\b(mon|tues?|wed|wednes|thu|thurs|fri|sat|satur|sun)(day)?\b|\b(noon|midnight|week|month|ago)\b"
)
_NAMED_DAYS = {"today": 0, "yesterday": -1}
_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}|\d{8}T\d{4}")
_OFFSET = re.compile(r"(.*\d)\s*(Z|[+-]\d{2}(?::?\d{2})?)\Z", re.I)
_ABBREVIATION = re.compile(r"(.*\d)\s*([A-Z]{3,5})\Z", re.I)


def understand(text: str, zone: ZoneInfo, now: datetime, cursor_at: datetime, names: Sequence[str] = ()) -> Understood:
    """Read a typed moment. Never raises; ``kind`` None says in ``words`` what could be typed instead."""
    text = " ".join(text.split())
    if not text:
        return Understood(None, "a time, an LSN, a transaction id, or a restore point's name")
    if text in names:
        several = names.count(text)
        note = f", the last of {several}" if several > 1 else ""
        return Understood("name", f"restore point {text}{note}", name=text)
    if "/" in text and re.fullmatch(r"[0-9A-Fa-f]+/[0-9A-Fa-f]+", text) and not _NUMERIC_DAY.match(text):
        try:
            lsn = parse_lsn(text)
        except ValueError as error:
            return Understood(None, str(error))
        return Understood("lsn", f"LSN {format_lsn(lsn)}: what starts before it is kept", lsn=lsn)
    if found := _XID.match(text):
        xid = int(found[1])
        if 3 <= xid < 1 << 32:
            return Understood("xid", f"just before transaction {xid}: it is the first that is lost", xid=xid)
        return Understood(None, f"{found[1]} is no transaction id; they go from 3 to 4294967295")
    at = _time(text, zone, now, cursor_at)
    if isinstance(at, datetime):
        return _said(at, zone)
    if at is not None:
        return _wall(at[0], zone)
    near = [name for name in names if name.lower().startswith(text.lower())]
    if near:
        return Understood(None, f"a restore point? {', '.join(near[:4])}")
    return Understood(None, "not understood; like 14:03, yesterday 18:00, 10 minutes before now, 23 Nov 14:32")


def _said(at: datetime, zone: ZoneInfo, note: str = "") -> Understood:
    try:
        at = at.astimezone(UTC)
        text = words.moment(at, zone)
    except (OverflowError, ValueError):
        return Understood(None, "that time is beyond all calendars")
    utc = "" if words.offset(at, zone) == "UTC" else f"   {words.clock(at, UTC)} UTC"
    return Understood("time", f"{text}{utc}{note}", at=at)


def _wall(local: datetime, zone: ZoneInfo) -> Understood:
    """A time on the site's wall clock: skipped and doubled hours are named."""
    first, second = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return _said(first, zone)
    back = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
    if back != local:
        return Understood(None, f"{local:%H:%M} does not exist on that day: the clocks go forward")
    return _said(first, zone, f"; the clocks show it twice, this is the first ({words.offset(first, zone)})")


def _time(text: str, zone: ZoneInfo, now: datetime, cursor_at: datetime) -> datetime | tuple[datetime] | None:
    """An instant, or (in a tuple) a time on the site's wall clock, or nothing."""
    lowered = text.lower()
    try:
        if lowered == "now":
            return now
        if found := _SIGNED.match(lowered):
            seconds = float(found[2]) * _UNITS[_unit(found[3])]
            return cursor_at + timedelta(seconds=seconds if found[1] == "+" else -seconds)
        if found := _RELATIVE.match(lowered):
            seconds = float(found[1]) * _UNITS[_unit(found[2])]
            if found[3] in ("ago", "before now"):
                return now - timedelta(seconds=seconds)
            return cursor_at + timedelta(seconds=seconds if found[3] in ("later", "after cursor", "on") else -seconds)
        if (zoned := _zoned(text, zone, now, cursor_at)) is not None:
            return zoned
        if clock := _clock(text):
            return (_on_a_day(clock, now.astimezone(zone), cursor_at.astimezone(zone)),)
        if _ISO.match(text):
            read = datetime.fromisoformat(text)
            return read if read.tzinfo else (read,)
        if (named := _named_day(lowered, now.astimezone(zone).replace(tzinfo=None))) is not None:
            return (named,)
    except (ValueError, OverflowError):
        return None
    if _NUMERIC_DAY.match(text):
        return None  # 11/12/2026 means two different days: refused rather than guessed
    if not any(char.isdigit() for char in text) and not _DAY_WORD.search(lowered):
        return None
    return _parse_freely(text, str(zone), now.astimezone(zone).replace(tzinfo=None))


def _on_a_day(clock: time, now: datetime, cursor_at: datetime) -> datetime:
    """A clock time on the cursor's day, or on the one before where it is still to come. All of one zone."""
    local = datetime.combine(cursor_at.date(), clock)
    return local if local <= now.replace(tzinfo=None) else local - timedelta(days=1)


def _zoned(text: str, zone: ZoneInfo, now: datetime, cursor_at: datetime) -> datetime | None:
    """A clock time, or a day with one, that says in which zone: ``14:03Z``, ``2026-11-23 14:32:07.123 CET`` as
    PostgreSQL's log has it. An abbreviation means many zones: only UTC's and the site's own at that time are taken."""
    found = _OFFSET.match(text)
    if found is not None and _clock(found[1]):  # an ISO time with an offset needs no help
        shift = datetime.fromisoformat(f"2000-01-01T00:00{found[2].upper()}").tzinfo
    elif (found := _ABBREVIATION.match(text)) is not None:
        shift = UTC if found[2].upper() in ("UTC", "GMT") else zone
    else:
        return None
    if clock := _clock(found[1]):
        local = _on_a_day(clock, now.astimezone(shift), cursor_at.astimezone(shift))
    elif _ISO.match(found[1]):
        local = datetime.fromisoformat(found[1])
    else:
        return None
    if shift is not zone:
        return local.replace(tzinfo=shift)
    both = (local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1))  # an hour that is shown twice
    return next((each.astimezone(UTC) for each in both if each.tzname() == found[2].upper()), None)


def _named_day(lowered: str, now: datetime) -> datetime | None:
    """``yesterday 18:00``, ``today``, ``fri 14:03``, ``last friday``: the last such day that has begun."""
    words_of_it = [word for word in lowered.split(" ") if word != "at"]
    last = words_of_it[0] == "last"
    first, *rest = words_of_it[last:] or [""]
    clock = _clock(rest[0]) if rest else time(0)
    if len(rest) > 1 or clock is None:
        return None
    if first in _NAMED_DAYS and not last:
        return datetime.combine(now.date() + timedelta(days=_NAMED_DAYS[first]), clock)
    number = next((place for place, name in enumerate(_WEEK) if len(first) > 2 and name.startswith(first)), None)
    if number is None:
        return None
    back = timedelta(days=(now.weekday() - number) % 7)
    found = datetime.combine(now.date() - back, clock)
    return found - timedelta(days=7) if found > now or (last and not back) else found


def _unit(word: str) -> str:
    word = word.lower()
    return word if word in _UNITS else word.rstrip("s")


def _clock(text: str) -> time | None:
    found = _CLOCK.match(text)
    if found is None:
        return None
    fraction = (found[4] or "").ljust(6, "0")
    try:
        return time(int(found[1]), int(found[2]), int(found[3] or 0), int(fraction))
    except ValueError:
        return None


def prepare() -> None:
    """Load the library that reads dates before it is needed: that takes a while."""
    threading.Thread(target=_parse_freely, args=("1 January", "UTC", datetime(2026, 1, 1)), daemon=True).start()


@lru_cache(maxsize=64)
def _parse_freely(text: str, zone: str, now_local: datetime) -> datetime | tuple[datetime] | None:
    """Everything else, by dateparser; a text without any digit but a weekday or the like is welcome too."""
    import dateparser

    if len(text) > 60:
        return None
    settings = {
        "RELATIVE_BASE": now_local.replace(microsecond=0),
        "PREFER_DATES_FROM": "past",
        "DATE_ORDER": "DMY",
        "REQUIRE_PARTS": ["day"],
        "RETURN_TIME_AS_PERIOD": False,
    }
    try:
        read = dateparser.parse(text, languages=["en"], settings=settings)
    except Exception:  # the library's own failures on odd input are no answer, and no reason to stop
        return None
    if not isinstance(read, datetime):
        return None
    if re.fullmatch(r"[a-z]+ \d{1,2}|\d{1,2} [a-z]+( \d{4})?|[a-z]+", text.lower()):
        read = read.replace(hour=0, minute=0, second=0, microsecond=0) if read.tzinfo is None else read
    return read if read.tzinfo else (read,)


def to_target(wanted: Understood, timeline: int | None) -> RecoveryTarget | None:
    """A typed moment as a recovery target. A transaction id means: stop before it."""
    if wanted.kind == "time":
        return RecoveryTarget("time", time=wanted.at, timeline=timeline)
    if wanted.kind == "lsn":
        return RecoveryTarget("lsn", lsn=wanted.lsn, exclusive=True, timeline=timeline)
    if wanted.kind == "xid":
        return RecoveryTarget("xid", xid=wanted.xid, exclusive=True, timeline=timeline)
    if wanted.kind == "name":
        return RecoveryTarget("name", name=wanted.name, timeline=timeline)
    return None
