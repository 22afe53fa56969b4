"""A plain dump on its way to psql: what is about its database is taken out, everything else stays byte for byte."""

from io import BytesIO

import pytest

from engine.dumps.scripts import AboutDatabase, Setting, read_script
from engine.records.errors import DamagedCopy

CLOSING = b"--\n-- PostgreSQL database dump complete\n--\n"
BODY = rb"""CREATE FUNCTION public.f() RETURNS text AS $x$
\connect postgres
ALTER DATABASE postgres RENAME TO gone; -- $y$
$x$ LANGUAGE sql;
COMMENT ON FUNCTION public.f() IS 'don''t
\connect postgres
GRANT ALL ON DATABASE x TO y;';
CREATE VIEW public."a
\c postgres
;" AS SELECT E'it\'s
\c postgres
', a$b$c, 1 AS d$e$ /* '/* $$
\c postgres */ */ FROM public.database; SELECT 'x';
COPY public.t (t) FROM stdin;
\connect postgres
ALTER DATABASE x OWNER TO y;
$$ ' " /*
\N
\\.
\.
SET standard_conforming_strings = off;
SELECT 'it\'s
\c postgres
';
SET standard_conforming_strings = on;
"""


def passed(script: bytes) -> bytes:
    pieces = (each.statement if isinstance(each, Setting) else each for each in read_script(BytesIO(script)))
    return b"".join(piece for piece in pieces if isinstance(piece, bytes))


def about(script: bytes) -> list[AboutDatabase]:
    pieces = read_script(BytesIO(script + CLOSING))
    return [piece for piece in pieces if isinstance(piece, AboutDatabase)]


def test_what_only_looks_like_a_command_in_quotes_comments_and_data_passes_untouched() -> None:
    script = BODY + CLOSING
    assert passed(script) == script
    assert about(BODY) == []


def test_every_connect_is_left_out_and_what_restricts_psql_passes() -> None:
    connect = b"\\unrestrict aB1\n\\encoding SQL_ASCII\n\\connect -reuse-previous=on \"dbname='x'\"\n\\restrict aB1\n"
    script = b"\\restrict aB1\n\\connect x\n\\c y\n" + connect + BODY + connect + CLOSING + b"\\unrestrict aB1\n"
    out = passed(script)
    assert out.count(b"\\restrict aB1\n") == out.count(b"\\unrestrict aB1\n") == 3
    assert out.replace(BODY, b"").count(b"onnect") == 0
    assert BODY in out


@pytest.mark.parametrize(
    "statement, before, name, behind",
    [
        (b'ALTER DATABASE "a;""b" OWNER TO c', b"ALTER DATABASE ", b'"a;""b"', b" OWNER TO c"),
        (b"ALTER ROLE \"IN DATABASE\" IN DATABASE d SET a TO 'd;'", b'ALTER ROLE "IN DATABASE" IN DATABASE ', b"d",
         b" SET a TO 'd;'"),
        (b"GRANT CREATE,CONNECT ON DATABASE d TO d", b"GRANT CREATE,CONNECT ON DATABASE ", b"d", b" TO d"),
        (b"REVOKE ALL ON DATABASE d FROM PUBLIC", b"REVOKE ALL ON DATABASE ", b"d", b" FROM PUBLIC"),
        (b"COMMENT ON DATABASE d IS 'two\n\\c lines;'", b"COMMENT ON DATABASE ", b"d", b" IS 'two\n\\c lines;'"),
        (b"SECURITY LABEL FOR p ON DATABASE d IS 'l'", b"SECURITY LABEL FOR p ON DATABASE ", b"d", b" IS 'l'"),
        (b"DROP DATABASE IF EXISTS d", b"DROP DATABASE IF EXISTS ", b"d", b""),
    ],
)  # fmt: skip
def test_a_statement_about_the_database_is_taken_out_with_the_place_of_its_name(
    statement: bytes, before: bytes, name: bytes, behind: bytes
) -> None:
    (found,) = about(b"SELECT 1; " + statement + b";\nSELECT 2;\n")
    assert (found.before, found.name, found.behind) == (before, name, behind)
    assert statement not in passed(statement + b";\n" + CLOSING)


def test_who_grants_is_told_with_the_grant() -> None:
    script = b"SET SESSION AUTHORIZATION boss;\nGRANT ALL ON DATABASE d TO e;\nRESET SESSION AUTHORIZATION;\n"
    first, second = about(script + b"GRANT ALL ON DATABASE d TO f;\n")
    assert (first.session, second.session) == (b"SET SESSION AUTHORIZATION boss;", None)


@pytest.mark.parametrize(
    "script",
    [
        b"\\! true\n",
        b"SELECT 1 \\connect postgres\n;\n",
        b"\\encoding UTF8 \\connect postgres\n",
        b"COPY t FROM stdin; SELECT 1;\n\\.\n",
        b"ALTER/**/DATABASE d OWNER TO e;\n",
        b"SELECT E'\\x4'\n'1';\n",
        b"-- PostgreSQL database cluster dump\n",
    ],
)
def test_what_no_dump_of_one_database_holds_is_refused(script: bytes) -> None:
    with pytest.raises(DamagedCopy):
        passed(script + CLOSING)


@pytest.mark.parametrize("end", [1, 40, 400, len(BODY) - 60, len(BODY)])
def test_a_script_that_is_cut_off_is_refused(end: int) -> None:
    with pytest.raises(DamagedCopy, match="cut off"):
        passed(BODY[:end])


def test_an_escaped_string_that_goes_on_in_the_next_line_is_joined_as_the_server_reads_it() -> None:
    script = b"SELECT E'a\\\\' -- it's\n  'b\\'; \\c postgres', 'c'\n'd\\';\n"
    assert passed(script + CLOSING) == script.replace(b"' -- it's\n  '", b"") + CLOSING


def test_what_sets_a_parameter_is_told_with_its_name() -> None:
    script = b"SET a = 1;\nset SESSION B to 'x;';\nSET SESSION AUTHORIZATION c;\nSELECT 'SET f = 1;';\n"
    found = [each for each in read_script(BytesIO(script + CLOSING)) if isinstance(each, Setting)]
    assert [(each.name, each.statement) for each in found] == [("a", b"SET a = 1;"), ("b", b"set SESSION B to 'x;';")]
