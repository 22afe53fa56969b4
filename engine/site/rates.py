"""Amounts in a second, as a site file writes them: a whole number, a unit of bytes, and "/s"."""

from engine.site.durations import read_amount

_UNITS = {"kB/s": 10**3, "MB/s": 10**6, "GB/s": 10**9, "KiB/s": 1 << 10, "MiB/s": 1 << 20, "GiB/s": 1 << 30}

FORM = "a number and a unit: 2MB/s, 50MB/s, 1GiB/s"


def read_rate(text: str) -> int:
    """``50MB/s`` in bytes per second. Raises ValueError that says what would be right."""
    return read_amount(text, _UNITS, FORM)
