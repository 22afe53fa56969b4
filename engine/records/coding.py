"""Records to JSON and back, for plans, journals and reports.

Times are written as the command line's contract wants them (``2026-11-22T11:03:10.123456Z``); LSNs inside records stay
integers, documents for people and scripts print them in `engine/cli/documents.py`.
"""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def _encode(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"no JSON form for {type(value).__name__}")


def _decode(kind: type, value: Any) -> Any:
    if issubclass(kind, Path) and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(f"no reading of {kind.__name__}")


def to_json(record: Any, *, indent: int = 0) -> bytes:
    """A record, or any mix of records, mappings and lists, as JSON. Names that are not UTF-8 must be escaped before."""
    data = msgspec.json.encode(record, enc_hook=_encode)
    return msgspec.json.format(data, indent=indent) if indent else data


def from_json(data: bytes | str, kind: type[T]) -> T:
    """Read back what ``to_json`` wrote. Raises msgspec.ValidationError or msgspec.DecodeError."""
    return msgspec.json.decode(data, type=kind, dec_hook=_decode)


def to_builtins(record: Any) -> Any:
    """A record as plain mappings, lists, strings and numbers."""
    return msgspec.to_builtins(record, enc_hook=_encode)
