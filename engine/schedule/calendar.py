"""Calendar times: cron's five fields (crontab(5)) and what of systemd's OnCalendar (systemd.time(7)) says the same.

Both are read into one form, from which either is written, and from which the next time follows.
"""

import re
from datetime import datetime, timedelta

from msgspec import Struct

_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SHORT = {
    "minutely": "* * * * *", "hourly": "0 * * * *", "daily": "0 0 * * *", "weekly": "0 0 * * 1",
    "monthly": "0 0 1 * *", "quarterly": "0 0 1 1,4,7,10 *", "semiannually": "0 0 1 1,7 *", "yearly": "0 0 1 1 *",
    "annually": "0 0 1 1 *",
}  # fmt: skip
_ON_CALENDAR = re.compile(
    r"(?:(?P<days>[A-Za-z,.-]+)\s+)?(?:(?:\*-)?(?P<month>[0-9*,/.]+)-(?P<day>[0-9*,/.]+)\s+)?"
    r"(?P<hour>[0-9*,/.]+):(?P<minute>[0-9*,/.]+)(?::00?)?"
)


class Calendar(Struct, frozen=True):
    """The minutes, hours, days of the month, months and days of the week (0: Sunday) at which something runs."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    def next_after(self, at: datetime) -> datetime | None:
        """The next time behind ``at``, in its own zone; None where there is none within five years."""
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        for _ in range(5 * 366):
            if day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays:
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        found = day.replace(hour=hour, minute=minute)
                        if found > at:
                            return found
            day = (day + timedelta(days=1)).replace(hour=0)
        return None

    @property
    def cron(self) -> str:
        """As crontab(5) wants it."""
        return " ".join(
            _cron_field(values, low, high)
            for values, low, high in (
                (self.minutes, 0, 59), (self.hours, 0, 23), (self.days, 1, 31), (self.months, 1, 12),
                (self.weekdays, 0, 6),
            )
        )  # fmt: skip

    @property
    def on_calendar(self) -> str:
        """As systemd.time(7) wants it."""
        days = "" if len(self.weekdays) == 7 else ",".join(_DAYS[day] for day in sorted(self.weekdays)) + " "
        month, day = _list(self.months, 1, 12), _list(self.days, 1, 31)
        return f"{days}*-{month}-{day} {_list(self.hours, 0, 23)}:{_list(self.minutes, 0, 59)}:00"


def read_calendar(text: str) -> Calendar:
    """Either form. Raises ValueError that says what would be right."""
    text = " ".join(text.split())
    text = _SHORT.get(text.lower(), text)
    fields = text.split(" ")
    if len(fields) == 5:
        return _from_cron(fields)
    found = _ON_CALENDAR.fullmatch(text)
    if found is None:
        raise ValueError('not understood; write "*-*-* 02:00", "Mon..Fri 02:00", "hourly" or five fields: "0 2 * * *"')
    return Calendar(
        _parse(found["minute"], 0, 59, ".."),
        _parse(found["hour"], 0, 23, ".."),
        _parse(found["day"] or "*", 1, 31, ".."),
        _parse(found["month"] or "*", 1, 12, ".."),
        _weekdays(found["days"]),
    )


def _from_cron(fields: list[str]) -> Calendar:
    minute, hour, day, month, weekday = fields
    if day != "*" and weekday != "*":
        raise ValueError("cron runs on either of a day of the month and a day of the week; name one of the two")
    for number, name in enumerate(_MONTHS, 1):
        month = re.sub(name, str(number), month, flags=re.IGNORECASE)
    for number, name in enumerate(_DAYS):
        weekday = re.sub(name, str(number), weekday, flags=re.IGNORECASE)
    days = {value % 7 for value in _parse(weekday, 0, 7, "-")}
    return Calendar(
        _parse(minute, 0, 59, "-"), _parse(hour, 0, 23, "-"), _parse(day, 1, 31, "-"), _parse(month, 1, 12, "-"),
        frozenset(days),
    )  # fmt: skip


def _parse(text: str, low: int, high: int, dash: str) -> frozenset[int]:
    """``*``, ``3``, ``1,4``, a range (``1-5``, systemd: ``1..5``), a step (``*/15``, ``0/15``, ``8-18/2``)."""
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        if slash and (not step.isdigit() or int(step) == 0):
            raise ValueError(f"{part!r} has no step")
        first, is_range, last = span.partition(dash)
        if span == "*":
            begin, end = low, high
        elif first.isdigit() and (last.isdigit() if is_range else True):
            begin = int(first)
            end = int(last) if is_range else (high if slash else begin)
        else:
            raise ValueError(f"{part!r} is no number, range or *")
        if not low <= begin <= end <= high:
            raise ValueError(f"{part!r} lies outside {low} to {high}")
        found.update(range(begin, end + 1, int(step or 1)))
    return frozenset(found)


def _weekdays(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, is_range, last = part.replace("..", "-").partition("-")
        begin = _weekday(first)
        end = _weekday(last) if is_range else begin
        found.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    return frozenset(found)


def _weekday(name: str) -> int:
    for number, day in enumerate(_DAYS):
        if name[:3].title() == day and len(name) >= 3:
            return number
    raise ValueError(f"{name!r} is no day of the week")


def _list(values: frozenset[int], low: int, high: int) -> str:
    every = frozenset(range(low, high + 1))
    return "*" if values == every else ",".join(f"{value:02}" for value in sorted(values))


def _cron_field(values: frozenset[int], low: int, high: int) -> str:
    return "*" if values == frozenset(range(low, high + 1)) else ",".join(map(str, sorted(values)))
