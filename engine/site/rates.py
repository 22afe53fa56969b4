"""Amounts in a second, as a site file writes them: a whole number, a unit of bytes, and "/s"."""

import re

_UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_RATE = re.compile(rf"([0-9]{{1,9}}) ?({'|'.join(_UNITS)})/s", re.ASCII)

FORM = "a number, a unit, and /s: 800kB/s, 50MB/s, 1GiB/s"


def read_rate(text: str) -> int:
    """``50MB/s`` in bytes per second. Raises ValueError that says what would be right."""
    found = _RATE.fullmatch(text.strip())
    if found is None or int(found[1]) == 0:
        raise ValueError(FORM)
    return int(found[1]) * _UNITS[found[2]]
