"""The scanner of plain dumps, quick and in blocks, against a slow one that reads byte by byte."""

from io import BytesIO
from unittest.mock import patch

from hypothesis import event, given, settings
from hypothesis import strategies as st

from engine.dumps import scripts
from engine.dumps.scripts import AboutDatabase, Setting, read_script
from engine.records.errors import DamagedCopy

CLOSING = b"--\n-- PostgreSQL database dump complete\n--\n"
BLANK = b" \t\r\n\f\v"
NAME = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$"

BALANCED = st.sampled_from([
    b"1, ", b"-1, ", b"'it''s', ", b"'\\', ", b"'two\nlines;\n\\c d\n', ", b"E'it\\'s; \\\\', ", b"E'a'\n'b\\'; '",
    b"e'a' --'\n--\n\n 'b'\n '\\'c'",
    b"E'a'\n, 'b\\', ", b"E'a'\r\n\t'b'", b"E'a' 'b'", b"E'a' /* */\n'b'", b"'a'\n'b'", b'"a;\'b", ', b"$$;'\\$$",
    b"$a$ $$ ' $a$", b"a$b$c", b"-- it's;\n",
    b"/* ' /* \" */ ; */", b"typE", b"typE'a'", b" ", b"\n", b"\r\n", b"U&'a\\'", b"4 / 2 - 1",
])  # fmt: skip
LOOSE = st.sampled_from([
    b"'", b"''", b'"', b"$$", b"$a$", b"\\", b"\\'", b"--", b"/*", b"*/", b";", b"E'", b"e", b"\\c d\n", b"\\.\n",
    b"E", b"\n", b";\n", b"/", b"-",
])  # fmt: skip
# What a scanner that takes quotes wrongly in a row swallows up to the next odd quote: a connect.
HIDING = st.sampled_from([b"E'\\''", b"1 -- '\n", b"1 /* ' */"]).map(
    lambda odd: b"INSERT INTO t VALUES (" + odd + b");\n\\connect d\n-- ';\n"
)
ROW = st.lists(BALANCED, max_size=6).map(lambda pieces: b"INSERT INTO t VALUES (" + b"".join(pieces) + b");\n")
ANY = st.lists(st.one_of(BALANCED, BALANCED, BALANCED, LOOSE), max_size=5).map(b"".join)
WHOLE = st.sampled_from([
    b"COPY t (a) FROM stdin;\n1\t'\n\\N\n\\\\.\n\\.\n", b"COPY t FROM stdin;\n\\.\n",
    b"SET standard_conforming_strings = off;\n", b"DROP DATABASE d;\n",
    b"SET standard_conforming_strings = on;\n", b"\\connect d\n", b"\\restrict a\n", b"SELECT 1; SELECT 2;\n",
    b"SELECT pg_catalog.lowrite(0, '\\x00');\n",
    b"INSERT INTO t VALUES (1, 'a');\n", b"INSERT INTO t VALUES (2);\r\n",
])  # fmt: skip
SCRIPTS = st.lists(
    st.one_of(ROW, ROW, HIDING, WHOLE, WHOLE, ANY.map(lambda piece: b"SELECT " + piece + b";\n")), max_size=8
)


class Refused(Exception):
    pass


class Reference:
    """Reads a script byte by byte; ``passed`` is what may go to psql, ``about`` how much was about the database."""

    def __init__(self, script: bytes) -> None:
        self.script, self.at = script, 0
        self.passed, self.about, self.escapes = b"", 0, False
        self.statement = self.bare = b""
        while self.at < len(script):
            self.step()
        self.end_of_line()
        if self.statement:
            raise Refused

    def starts(self, *words: bytes) -> bool:
        return self.script.startswith(words, self.at)

    def take(self, count: int = 1) -> bytes:
        if self.at + count > len(self.script):
            raise Refused
        taken = self.script[self.at : self.at + count]
        self.at += count
        self.statement += taken
        return taken

    def take_past(self, end: bytes) -> None:
        while not self.starts(end):
            self.take()
        self.take(len(end))

    def end_of_line(self) -> None:
        if not self.bare.strip():
            self.passed, self.statement, self.bare = self.passed + self.statement, b"", b""

    def line(self) -> bytes:
        end = self.script.find(b"\n", self.at) + 1 or len(self.script)
        line, self.at = self.script[self.at : end], end
        return line

    def step(self) -> None:
        before = self.script[: self.at]
        if before[-1:] in (b"", b"\n"):
            self.end_of_line()
            if not self.statement and self.starts(b"\\"):
                line = self.line()
                if line.startswith(b"\\restrict "):
                    self.passed += line
                elif not line.startswith((b"\\connect ", b"\\c ")):
                    raise Refused
                return
        if self.starts(b"--"):
            while self.at < len(self.script) and not self.starts(b"\n"):
                self.take()
        elif self.starts(b"/*"):
            self.bare += b" "
            self.comment()
        elif self.starts(b'"'):
            self.take()
            self.take_past(b'"')
            self.bare += b'""'
        elif self.starts(b"'"):
            self.take()
            of_e = before[-1:] in (b"e", b"E") and (before[-2:-1] == b"" or before[-2:-1] not in NAME)
            self.string(of_e)
            self.bare += b"''"
        elif self.starts(b"$") and (before[-1:] == b"" or before[-1:] not in NAME) and (tag := self.tag()):
            self.take(len(tag))
            self.take_past(tag)
            self.bare += b"''"
        elif self.starts(b"\\"):
            raise Refused
        else:
            taken = self.take()
            if taken == b";":
                self.finish()
            else:
                self.bare += taken

    def comment(self) -> None:
        self.take(2)
        depth = 1
        while depth:
            if self.starts(b"/*", b"*/"):
                depth += 1 if self.starts(b"/*") else -1
                self.take()
            self.take()

    def string(self, of_e: bool) -> None:
        while True:
            if ((of_e or self.escapes) and self.starts(b"\\")) or self.starts(b"''"):
                self.take(2)
            elif self.starts(b"'"):
                break
            else:
                self.take()
        kept = self.statement
        self.take()
        if of_e and not self.escapes and (behind := self.goes_on()) is not None:
            self.statement, self.at = kept, behind
            self.string(of_e)

    def goes_on(self) -> int | None:
        """Behind the quote that begins the string's next part: only blanks and remarks lie between, and a new line."""
        at, lines = self.at, 0
        while at < len(self.script):
            if self.script[at : at + 2] == b"--":
                while self.script[at : at + 1] not in (b"", b"\n"):
                    at += 1
            elif self.script[at : at + 1] == b"'":
                return at + 1 if lines else None
            elif self.script[at] in BLANK:
                lines += self.script[at : at + 1] == b"\n"
                at += 1
            else:
                return None
        return None

    def tag(self) -> bytes:
        end = self.script.find(b"$", self.at + 1)
        inner = self.script[self.at + 1 : end]
        return self.script[self.at : end + 1] if end > 0 and (not inner or inner.isalpha()) else b""

    def finish(self) -> None:
        statement, bare = self.statement, self.bare.strip()
        self.statement = self.bare = b""
        if bare.startswith(b"DROP DATABASE "):
            if statement.strip() != b"DROP DATABASE d;":
                raise Refused
            self.about += 1
            return
        self.passed += statement
        for word, escapes in ((b"off", True), (b"on", False)):
            if statement.strip() == b"SET standard_conforming_strings = " + word + b";":
                self.escapes = escapes
        if bare.startswith(b"COPY t"):
            rest = self.line()
            if rest.strip():
                raise Refused
            self.passed += rest
            while (line := self.line()).rstrip(b"\r\n") != b"\\.":
                if not line:
                    raise Refused
                self.passed += line
            self.passed += line


def quick(script: bytes) -> tuple[bytes, int] | None:
    try:
        pieces = list(read_script(BytesIO(script)))
    except DamagedCopy:
        return None
    plain = [each.statement if isinstance(each, Setting) else each for each in pieces]
    about = sum(isinstance(each, AboutDatabase) for each in pieces)
    return b"".join(each for each in plain if isinstance(each, bytes)), about


def slow(script: bytes) -> tuple[bytes, int] | None:
    try:
        reference = Reference(script)
    except Refused:
        return None
    return reference.passed, reference.about


@settings(max_examples=400)
@given(SCRIPTS.map(b"".join), st.sampled_from([1, 7, 50, 1 << 20]))
def test_in_blocks_of_any_size_what_passes_is_what_a_reader_byte_by_byte_lets_pass(script: bytes, block: int) -> None:
    script += CLOSING
    wanted = slow(script)
    event("refused" if wanted is None else "passes")
    with patch.object(scripts, "_BLOCK", block):
        assert quick(script) == wanted
