"""By what the rows that refer to a file are known: the columns of [media] references behind path, size and SHA-256.

What stands in them is others' and may be of any type and length: it is kept as JSON, one object a row, its texts cut.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from engine.records.coding import from_json, to_json
from engine.records.rows import NamedRow

OWN = 3  # columns that say the file itself
MOST = 8  # further columns that are kept
KEPT = 3  # rows of one file
_LONGEST = 80  # characters of one value
_WHOLE = range(-(1 << 63), 1 << 63)


class RowNames:
    """How rows of ``columns`` are kept. False where there are none that name a row."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.names: list[str] = []
        seen: Counter[str] = Counter()
        for column in columns[OWN : OWN + MOST]:
            seen[column] += 1
            self.names.append(column if seen[column] == 1 else f"{column} ({seen[column]})")

    def __bool__(self) -> bool:
        return bool(self.names)

    def kept(self, row: Sequence[Any]) -> str:
        """One row as it is kept; what several are, joined by commas, ``named_rows`` reads back."""
        return to_json(dict(zip(self.names, map(_plain, row[OWN:]), strict=False))).decode()


def named_rows(kept: str | None) -> tuple[NamedRow, ...]:
    """The rows that were kept of one file."""
    return tuple(from_json(f"[{kept}]", list[dict[str, Any]])) if kept else ()


def keep_again(rows: Sequence[Mapping[str, object]]) -> str | None:
    """What ``named_rows`` has read."""
    return to_json(rows).decode()[1:-1] if rows else None


def _plain(value: Any) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and value in _WHOLE:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return _cut(_text(bytes(value)))
    return _cut(str(value))


def _text(value: bytes) -> str:
    """Of a database whose encoding nobody knows text comes as bytes."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    return text if text.isprintable() and text else f"\\x{value.hex()}"


def _cut(text: str) -> str:
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
