"""Times, sizes and durations as the screens say them. Plain English, made from whole phrases."""

from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.records.plan import Estimate

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def day(at: datetime, zone: tzinfo) -> str:
    """``23 Nov``"""
    local = at.astimezone(zone)
    return f"{local.day} {MONTHS[local.month - 1]}"


def long_day(at: datetime, zone: tzinfo, *, year: bool = True) -> str:
    """``Mon 23 Nov 2026``"""
    local = at.astimezone(zone)
    return f"{DAYS[local.weekday()]} {day(at, zone)}" + (f" {local.year}" if year else "")


def clock(at: datetime, zone: tzinfo, *, fraction: bool | None = None) -> str:
    """``14:32:07``; with its milliseconds where there are some, or where ``fraction`` says so."""
    local = at.astimezone(zone)
    text = f"{local:%H:%M:%S}"
    if fraction if fraction is not None else bool(local.microsecond):
        text += f".{local.microsecond // 1000:03d}"
    return text


def minute(at: datetime, zone: tzinfo) -> str:
    """``23 Nov 14:32``"""
    return f"{day(at, zone)} {at.astimezone(zone):%H:%M}"


def second(at: datetime, zone: tzinfo) -> str:
    """``23 Nov 14:32:07``"""
    return f"{day(at, zone)} {at.astimezone(zone):%H:%M:%S}"


def moment(at: datetime, zone: tzinfo) -> str:
    """``Mon 23 Nov 2026 14:32:07 CET``"""
    return f"{long_day(at, zone)} {clock(at, zone)} {zone_name(at, zone)}"


def short_moment(at: datetime, zone: tzinfo) -> str:
    """``23 Nov 14:32:07 CET``"""
    return f"{day(at, zone)} {clock(at, zone)} {zone_name(at, zone)}"


def zone_name(at: datetime, zone: tzinfo) -> str:
    """``CET``; zones without a name of letters show their offset."""
    name = at.astimezone(zone).tzname() or ""
    return name if name.isalpha() else offset(at, zone)


def offset(at: datetime, zone: tzinfo) -> str:
    """``UTC+1``, ``UTC+5:30``"""
    shift = at.astimezone(zone).utcoffset()
    seconds = int(shift.total_seconds()) if shift else 0
    if not seconds:
        return "UTC"
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"UTC{'+' if seconds > 0 else '-'}{hours}" + (f":{minutes:02d}" if minutes else "")


def zone_title(at: datetime, zone: tzinfo) -> str:
    """``Europe/Vienna UTC+1``"""
    name, shift = str(zone), offset(at, zone)
    return shift if name in ("UTC", "Etc/UTC", shift) else f"{name} {shift}"


def count(number: int) -> str:
    """``48 112``"""
    return f"{number:,}".replace(",", " ")


def short_count(number: int) -> str:
    """``65 k``, ``1.2 M``, ``555``"""
    if number < 1000:
        return str(number)
    if number < 10_000:
        return f"{number / 1000:.1f} k"
    if number < 1_000_000:
        return f"{number // 1000} k"
    return f"{number / 1_000_000:.1f} M"


def size(number: float) -> str:
    """``18.8 GiB``, ``412 GiB``, ``6 GiB``, ``512 B``"""
    value = float(number)
    if value < 1024:
        return f"{int(value)} B"
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        value /= 1024
        if value < 1000 or unit == "PiB":
            break
    text = f"{value:.1f}" if value < 100 else f"{value:.0f}"
    return f"{text.removesuffix('.0')} {unit}"


def sizes(done: float, total: float) -> str:
    """``11.2 of 18.8 GiB``"""
    whole = size(total)
    unit = whole.split(" ")[1]
    power = ("B", "KiB", "MiB", "GiB", "TiB", "PiB").index(unit)
    value = done / 1024**power
    text = f"{value:.1f}" if value < 100 and power else f"{value:.0f}"
    return f"{text} of {whole}"


def duration(seconds: float) -> str:
    """``28 s``, ``12 min``, ``1 h 50 min``, ``6 d 5 h``"""
    whole = round(abs(seconds))
    if whole < 1:
        return f"{abs(seconds) * 1000:.0f} ms" if seconds else "0 s"
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def stopwatch(seconds: float) -> str:
    """``4:10``, ``1:04:10``"""
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def plural(number: int, one: str, many: str) -> str:
    """``1 commit``, ``2 410 commits``"""
    return f"{count(number)} {one if number == 1 else many}"


def cut(text: str, width: int) -> str:
    """Text that fits ``width`` cells, with an ellipsis where some is missing."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def measured(estimate: "Estimate") -> str:
    """``9 min to 14 min, as measured in 4 runs``; where proof drills are among them: ``4 runs, proofs too``"""
    between = f"{duration(estimate.low)} to {duration(estimate.high)}"
    rests = f"as measured in {plural(estimate.runs, 'run', 'runs')}" if estimate.runs else "no run measured yet"
    return f"{between}, {rests}{', proofs too' if estimate.limited else ''}"
