"""Paths and lines for a shell. What a path holds is never the shell's to understand."""

import os
import re
import shlex
import string
from collections.abc import Iterable
from pathlib import Path

from engine.paper.blocks import Commands
from engine.records.copies import Compression

UNPACK: dict[Compression | None, str] = {None: "cat", "gzip": "gzip -dc", "lz4": "lz4 -dc", "zstd": "zstd -dc"}
"""What writes a file's contents to its standard output."""

SUFFIX: dict[Compression | None, str] = {None: "", "gzip": ".gz", "lz4": ".lz4", "zstd": ".zst"}

_LOGIN = re.compile(r"(?<=://)[^/?#\s]*@")
_PASSWORD = re.compile(r"(?<=://)([^/?#:\s]*):[^/?#\s]*@")
_QUERY = re.compile(r"(://[^?#]*)[?#].*", re.DOTALL)


def quoted(path: str | Path) -> str:
    """A path as one word. Bytes that are no UTF-8 are told as printf tells them, since paper holds none."""
    text = os.fspath(path)
    if text.isprintable():
        return shlex.quote(text)
    seen = b"/.-_ " + (string.ascii_letters + string.digits).encode()
    octal = (chr(byte) if byte in seen else f"\\{byte:03o}" for byte in text.encode("utf-8", "surrogateescape"))
    return f"\"$(printf '{''.join(octal)}')\""


def default(name: str, value: str, why: str = "") -> str:
    """A variable that may be set before: ``NEW=${NEW:-/srv/restored}``."""
    line = f"{name}=${{{name}:-{quoted(value)}}}"
    return f"{line:<58} # {why}" if why else line


def document(target: str, lines: list[str]) -> list[str]:
    """A file written letter by letter."""
    end = "END"
    while end in lines:
        end += "_"
    return [f"cat > {target} <<'{end}'", *lines, end]


def part(done: str, lines: Iterable[str]) -> Commands:
    """Lines that are carried out one after the other, in a shell of their own, up to the first that fails: it changes
    nothing more, and does not say that it is done. A variable that was never set is a failure too."""
    return Commands("\n".join(["( set -eu", *lines, f"echo {quoted(f'done: {done}')} )"]))


def without_credentials(address: str) -> str:
    """An address without what lets somebody in: user, password, and whatever its query says (``?private_token=…``). Who
    logs in by ssh is no secret."""
    plain = _QUERY.sub(r"\1", address)
    return _PASSWORD.sub(r"\1@", plain) if plain.startswith("ssh://") else _LOGIN.sub("", plain)
