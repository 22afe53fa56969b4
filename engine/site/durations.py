"""Durations as a site file writes them: a whole number and a unit."""

import re
from collections.abc import Mapping

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

FORM = "a number and a unit: 30s, 5min, 1h, 7d, 2w"


def read_duration(text: str) -> int:
    """``5min`` in seconds. Raises ValueError that says what would be right."""
    return read_amount(text, _UNITS, FORM)


def read_amount(text: str, units: Mapping[str, int], form: str) -> int:
    """A whole number above 0 of one of the units. Raises ValueError(``form``)."""
    found = re.fullmatch(rf"([0-9]{{1,9}}) ?({'|'.join(units)})", text.strip(), re.ASCII)
    if found is None or int(found[1]) == 0:
        raise ValueError(form)
    return int(found[1]) * units[found[2]]
