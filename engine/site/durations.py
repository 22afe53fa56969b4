"""Durations as a site file writes them: a whole number and a unit."""

import re

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DURATION = re.compile(rf"([0-9]{{1,9}}) ?({'|'.join(_UNITS)})", re.ASCII)

FORM = "a number and a unit: 30s, 5min, 1h, 7d, 2w"


def read_duration(text: str) -> int:
    """``5min`` in seconds. Raises ValueError that says what would be right."""
    found = _DURATION.fullmatch(text.strip())
    if found is None or int(found[1]) == 0:
        raise ValueError(FORM)
    return int(found[1]) * _UNITS[found[2]]
