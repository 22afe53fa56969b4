"""What the recovering server says in its log, since it was started."""

import os
import re
from pathlib import Path
from typing import BinaryIO

from engine.postgres.server import Server
from engine.records.lsn import Lsn, format_lsn

_RESTORED = re.compile(r'restored log file "([0-9A-F]{24})" from archive')
_COMPLAINTS = ("invalid ", "incorrect ", "unexpected ", "record with ", "WAL file is from", "there is no contrecord")

_begins: dict[tuple[Path, int], int] = {}


def log_since_start(server: Server) -> str:
    """What the running server wrote since it was started, at most the last megabyte of it; nothing where none runs or
    it did not speak yet. What an earlier server said says nothing of where this one stands."""
    pid = server.pid()
    if pid is None:
        return ""
    try:
        with server.log.open("rb") as file:
            begin = _begin_of(server.log, pid, file)
            if begin is None:
                return ""
            file.seek(max(begin, file.seek(0, os.SEEK_END) - (1 << 20)))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _begin_of(log: Path, pid: int, file: BinaryIO) -> int | None:
    """Where the postmaster with this pid began to write; our log_line_prefix names the pid."""
    if (log, pid) not in _begins:
        mark = f" [{pid}] LOG:  starting PostgreSQL ".encode()
        file.seek(0)
        position, found = 0, None
        for line in file:
            if mark in line:
                found = position
            position += len(line)
        if found is None:
            return None
        _begins[log, pid] = found
    return _begins[log, pid]


def last_restored(log: str) -> str | None:
    """The segment that the server says it restored last."""
    found = _RESTORED.findall(log)
    return found[-1] if found else None


def said_end_at(log: str, gate: Lsn) -> bool:
    """Whether the server found the end of its WAL at the gate: the zeros behind it (xlogreader.c)."""
    return f"invalid record length at {format_lsn(gate)}:" in log


def last_complaint(log: str) -> str | None:
    """What the server last said of WAL that it cannot read."""
    for line in reversed(log.splitlines()):
        _, mark, text = line.partition("LOG:  ")
        if mark and text.startswith(_COMPLAINTS):
            return text.strip()
    return None
