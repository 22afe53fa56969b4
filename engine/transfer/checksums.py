"""The checksums of a backup manifest (PostgreSQL manual, "Backup Manifest Format"; src/common/checksum_helper.c)."""

import hashlib
import sys
from typing import Protocol

import crc32c

from engine.records.errors import DamagedCopy

_SHA = {"SHA224": "sha224", "SHA256": "sha256", "SHA384": "sha384", "SHA512": "sha512"}


class Checksum(Protocol):
    def update(self, data: "bytes | memoryview", /) -> None: ...
    def hexdigest(self) -> str: ...


class _Crc32c:
    """PostgreSQL writes the four bytes in the machine's order."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: "bytes | memoryview", /) -> None:
        self._value = crc32c.crc32c(data, self._value)

    def hexdigest(self) -> str:
        return self._value.to_bytes(4, sys.byteorder).hex()


def new_checksum(algorithm: str | None) -> Checksum | None:
    """A running checksum of a manifest's algorithm; None for NONE. Raises DamagedCopy for one that is not known."""
    if algorithm is None or algorithm == "NONE":
        return None
    if algorithm == "CRC32C":
        return _Crc32c()
    if algorithm in _SHA:
        return hashlib.new(_SHA[algorithm], usedforsecurity=False)
    raise DamagedCopy(f"the manifest names a checksum that PostgreSQL does not have: {algorithm!r}")
