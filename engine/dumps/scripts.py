"""A plain dump read as psql reads it, so that nothing of it reaches a database other than the one it is loaded into.

``pg_dump --create`` writes ``\\connect`` twice where the database has settings of its own (src/bin/pg_dump/pg_dump.c,
dumpDatabase, "DATABASE PROPERTIES"), and what it says of the database itself (owner, settings, privileges, comment)
stands in several places. Quotes, comments and the data of COPY are told apart as psqlscan.l does.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engine.records.errors import DamagedCopy

_NAME = rb'(?:"(?:[^"]|"")+"|[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*)'
_SPECIAL = re.compile(rb"['\"\\;]|--|/\*|\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$")
_IN_COMMENT = re.compile(rb"/\*|\*/")
_IN_STRING = re.compile(rb"''|'")
_IN_ESCAPES = re.compile(rb"\\.|''|'", re.DOTALL)
_ENDS_IN_NAME = re.compile(rb"[A-Za-z0-9_$\x80-\xff]\Z")
_ENDS_IN_E = re.compile(rb"(?:\A|[^A-Za-z0-9_$\x80-\xff])[eE]\Z")
_CONNECT = re.compile(rb"\\(?:connect|c)\s")
_HARMLESS = re.compile(rb"\\(?:restrict|unrestrict|encoding) +[A-Za-z0-9_-]+\s*\Z")
_COPY = re.compile(rb"\s*COPY\s.*\sFROM\s+stdin\b", re.DOTALL | re.IGNORECASE)
_ABOUT = re.compile(
    rb"\s*(?:(?:CREATE|ALTER|DROP|COMMENT\s+ON)\s+DATABASE|ALTER\s+(?:ROLE|USER)\s.*?\sIN\s+DATABASE"
    rb"|(?:GRANT|REVOKE|SECURITY\s+LABEL)\s.*?\sON\s+DATABASE)\s",
    re.DOTALL | re.IGNORECASE,
)
_NAMED = re.compile(
    rb"\s*((?:CREATE|ALTER|DROP|COMMENT\s+ON|ALTER\s+(?:ROLE|USER)\s+" + _NAME + rb"\s+IN|(?:GRANT|REVOKE)[A-Za-z,\s]+?"
    rb"\sON|SECURITY\s+LABEL\s+FOR\s+(?:'[^']*'|" + _NAME + rb")\s+ON)\s+DATABASE\s+(?:IF\s+EXISTS\s+)?)"
    rb"(" + _NAME + rb")(?=[\s;])(.*);\s*\Z",
    re.DOTALL | re.IGNORECASE,
)  # fmt: skip
_SET = re.compile(rb"\s*SET (client_encoding|standard_conforming_strings) = '?(\w+)'?;\s*\Z")
_SESSION = re.compile(rb"\s*(?:SET|RESET) SESSION AUTHORIZATION\b")
_CLOSING = b"-- PostgreSQL database dump complete"
_CLUSTER = b"-- PostgreSQL database cluster dump"


@dataclass(frozen=True, slots=True)
class AboutDatabase:
    """A statement about the dumped database itself, without its semicolon: what stands before and behind its name.
    ``session``: the SET SESSION AUTHORIZATION in force, for who grants; ``encoding``: what it is written in."""

    before: bytes
    name: bytes
    behind: bytes
    session: bytes | None
    encoding: str


def read_script(lines: Iterable[bytes]) -> Iterator[bytes | AboutDatabase]:
    """The script in pieces: what may go to psql as it is, and what is about the database itself. Commands that
    connect are left out. Raises DamagedCopy where the script is cut off, or holds what no dump of one database does."""
    raw: list[bytes] = []  # of the statement that is being read
    bare: list[bytes] = []  # the same without comments and what is quoted
    inside: bytes | None = None  # what it is in: ', E, ", /, or a dollar quote as it ends
    depth = 0  # of comments
    escapes = closed = copying = False
    session, encoding = None, "UTF8"
    for line in lines:
        if copying:
            copying = line.rstrip(b"\r\n") != b"\\."
            yield line
            continue
        if inside is None and not raw:
            if line.startswith(b"\\"):
                if _HARMLESS.match(line):
                    yield line
                elif not _CONNECT.match(line):
                    raise _strange(line)
                continue
            closed = closed or line.rstrip() == _CLOSING
            if line.rstrip() == _CLUSTER:
                raise DamagedCopy("the dump is one of a whole cluster", cause="only one database can be loaded")
        begun = at = 0  # begun: what of the line belongs to the statement
        while at < len(line):
            if inside is not None:
                at, inside, depth = _leave(line, at, inside, depth)
                continue
            found = _SPECIAL.search(line, at)
            bare.append(line[at : found.start() if found else len(line)])
            if found is None:
                break
            start, at, token = found.start(), found.end(), found[0]
            if token == b"--":
                break
            if token == b"\\":
                raise _strange(line[start:])
            if token == b"/*":
                inside, depth = b"/", 1
                bare.append(b" ")
            elif token == b'"':
                inside = token
                bare.append(b'""')
            elif token == b"'":
                inside = b"E" if escapes or _ENDS_IN_E.search(line[max(0, start - 2) : start]) else token
                bare.append(b"''")
            elif token != b";":
                if _ENDS_IN_NAME.search(line[max(0, start - 1) : start]):
                    at = start + 1  # a name may hold dollars
                else:
                    inside = token
                    bare.append(b"''")
            else:
                statement, told = b"".join([*raw, line[begun:at]]), b"".join(bare) + b" "
                raw, bare, begun = [], [], at
                if _ABOUT.match(told):
                    named = _NAMED.match(statement)
                    if named is None:
                        raise _strange(statement)
                    yield AboutDatabase(named[1], named[2], named[3], session, encoding)
                    continue
                yield statement
                if setting := _SET.match(statement):
                    if setting[1] == b"client_encoding":
                        encoding = setting[2].decode("ascii")
                    else:
                        escapes = setting[2] == b"off"
                elif _SESSION.match(told):
                    session = None if told.lstrip().startswith(b"RESET") or b"DEFAULT" in told else statement.strip()
                elif _COPY.match(told):
                    if line[at:].strip():
                        raise _strange(line[at:])
                    copying = True
                    yield line[at:]
                    begun = at = len(line)
        rest = line[begun:]
        if inside is None and not any(piece.strip() for piece in bare):
            if raw or rest:
                yield b"".join([*raw, rest])
            raw, bare = [], []
        elif rest:
            raw.append(rest)
    if copying or raw or inside is not None or not closed:
        raise DamagedCopy("the dump is cut off", cause="it does not end with pg_dump's closing line")


def _leave(line: bytes, at: int, inside: bytes, depth: int) -> tuple[int, bytes | None, int]:
    """Where in the line the quote or comment ends, else the line's end; what it is in then."""
    if inside == b"/":
        found = _IN_COMMENT.search(line, at)
        if found is None:
            return len(line), inside, depth
        depth += 1 if found[0] == b"/*" else -1
        return found.end(), inside if depth else None, depth
    if inside in (b"'", b"E"):
        pattern = _IN_STRING if inside == b"'" else _IN_ESCAPES
        found = next((each for each in pattern.finditer(line, at) if each[0] == b"'"), None)
        return (found.end(), None, 0) if found else (len(line), inside, 0)
    end = line.find(inside, at)
    return (end + len(inside), None, 0) if end >= 0 else (len(line), inside, 0)


def _strange(what: bytes) -> DamagedCopy:
    told = what.strip()[:80].decode("utf-8", "replace")
    return DamagedCopy("the dump holds a command that no dump of one database holds", cause=ascii(told))
