"""A plain dump read as psql reads it, so that nothing of it reaches a database other than the one it is loaded into.

``pg_dump --create`` writes ``\\connect`` twice where the database has settings of its own (src/bin/pg_dump/pg_dump.c,
dumpDatabase, "DATABASE PROPERTIES"), and what it says of the database itself (owner, settings, privileges, comment)
stands in several places. Quotes, comments and the data of COPY are told apart as psqlscan.l does. Rows as INSERT, most
of a dump that was taken with --inserts, are passed over by one expression, many at a time; whatever that does not take
is read line by line.

psql lexes line by line too, and takes an E'' string that goes on in the next line (manual, "String Constants") for a
plain one there; the server does not. The parts are joined, so that both read the same.
"""

import re
from collections.abc import Iterator
from typing import Protocol

from msgspec import Struct

from engine.records.errors import DamagedCopy

_BLOCK = 1 << 20  # bytes read at once

# What a row's statement is made of: no comments, dollar quotes, E'' strings, commands of psql. None of it backtracks.
_BARE = rb"[^'\"\\;$/-]++|-(?!-)|/(?!\*)|\"[^\"]*+\""
_ROW = rb"(?:INSERT INTO|SELECT pg_catalog\.lowrite\()"
_ROWS, _ROWS_ESCAPED = (
    re.compile(rb"(?:" + _ROW + rb"(?:" + _BARE + rb"|" + string + rb")*+;\r?\n)++", re.DOTALL)
    for string in (rb"(?<![eE])'[^']*+'", rb"'(?:[^'\\]++|\\.)*+'")
)
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
_SETTING = re.compile(rb"\s*SET\s+(?:SESSION\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*(?:=|\sTO\s)", re.IGNORECASE)
_NOTHING_MORE = re.compile(rb"\s*(?:--.*)?\Z", re.DOTALL)
_GOES_ON = re.compile(rb"\s*'")
_OPEN_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*\\(?:[0-7]{1,2}|x[0-9A-Fa-f])\Z")
_SESSION = re.compile(rb"\s*(?:SET|RESET) SESSION AUTHORIZATION\b")
_CLOSING = b"-- PostgreSQL database dump complete"
_CLUSTER = b"-- PostgreSQL database cluster dump"


class AboutDatabase(Struct, frozen=True):
    """A statement about the dumped database itself, without its semicolon: what stands before and behind its name.
    ``session``: the SET SESSION AUTHORIZATION in force, for who grants; ``encoding``: what it is written in."""

    before: bytes
    name: bytes
    behind: bytes
    session: bytes | None
    encoding: str


class Setting(Struct, frozen=True):
    """A statement that sets a parameter of the session; ``name`` in lower case."""

    name: str
    statement: bytes


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Source:
    """A file in blocks, taken from line by line or many lines at once."""

    def __init__(self, file: Readable) -> None:
        self.file, self.block, self.at, self.ended = file, b"", 0, False

    def more(self) -> bool:
        """Read on. The more is left the more is read: a line of any length is copied only a few times."""
        if self.ended:
            return False
        left = self.block[self.at :]
        read = self.file.read(max(_BLOCK, len(left)))
        self.block, self.at, self.ended = left + read, 0, not read
        return not self.ended

    def line(self) -> bytes:
        """The next line with its end; empty: there is none."""
        searched = 0
        while (end := self.block.find(b"\n", self.at + searched)) < 0:
            searched = len(self.block) - self.at
            if not self.more():
                end = len(self.block) - 1
                break
        return self._take(end + 1)

    def rows(self, pattern: re.Pattern[bytes]) -> bytes:
        """All the rows that follow, as far as they are read and whole."""
        if not self.block.startswith((b"INSERT INTO", b"SELECT pg_catalog.lowrite("), self.at):
            return b""
        if len(self.block) - self.at < _BLOCK:
            self.more()
        found = pattern.match(self.block, self.at)
        return self._take(found.end()) if found else b""

    def data(self) -> bytes:
        """The lines of COPY's data that are read, but not the one that ends it; empty: that is next, or the end."""
        if self.block.find(b"\n", self.at) < 0:
            self.more()
        if self.block.startswith(b"\\.", self.at):
            return b""
        end = self.block.find(b"\n\\.", self.at)
        end = end if end >= 0 else self.block.rfind(b"\n", self.at)
        return self._take(end + 1) if end >= 0 else b""

    def _take(self, end: int) -> bytes:
        taken, self.at = self.block[self.at : end], end
        return taken


def read_script(file: Readable) -> Iterator[bytes | AboutDatabase | Setting]:
    """The script in pieces: what may go to psql as it is, what sets a parameter, and what is about the database
    itself. Commands that connect are left out. Raises DamagedCopy where the script is cut off, or holds what no dump of
    one database does."""
    raw: list[bytes] = []  # of the statement that is being read
    bare: list[bytes] = []  # the same without comments and what is quoted
    inside: bytes | None = None  # what it is in: ', E, ", /, or a dollar quote as it ends
    depth = 0  # of comments
    escapes = closed = copying = False
    before: bytes | None = None  # of a statement whose last line ended with an E'' string: what stands before its end
    session, encoding = None, "UTF8"
    source = _Source(file)
    while True:
        if copying and (data := source.data()):
            yield data
        if not copying and inside is None and not raw:
            while rows := source.rows(_ROWS_ESCAPED if escapes else _ROWS):
                yield rows
        line = source.line()
        if not line:
            break
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
        if before is not None and (found := _GOES_ON.match(line)):
            if _OPEN_ESCAPE.search(before):
                raise _strange(line)
            raw, inside, begun, at = [before], b"E", found.end(), found.end()
        if before is not None and not _NOTHING_MORE.match(line):
            before = None
        while at < len(line):
            if inside is not None:
                was = inside
                at, inside, depth = _leave(line, at, inside, depth)
                if was == b"E" and inside is None and not escapes and _NOTHING_MORE.match(line, at):
                    before = b"".join([*raw, line[begun : at - 1]])
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
                before = None
                named = _SETTING.match(told)
                yield statement if named is None else Setting(named[1].decode("ascii").lower(), statement)
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
