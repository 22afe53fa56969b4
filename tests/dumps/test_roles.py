"""The roles in a dump of globals, as pg_dumpall writes them."""

from engine.dumps.roles import read_roles

GLOBALS = """--
-- PostgreSQL database cluster dump
--
\\restrict abc
SET client_encoding = 'UTF8';
CREATE ROLE clerk;
ALTER ROLE clerk WITH NOSUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$4096:a;b''c';
CREATE ROLE "odd ""role""; DROP TABLE x";
ALTER ROLE "odd ""role""; DROP TABLE x" WITH NOLOGIN;
COMMENT ON ROLE clerk IS 'two
lines; of it';
ALTER ROLE clerk SET work_mem TO '64MB';
GRANT "odd ""role""; DROP TABLE x" TO clerk WITH INHERIT TRUE GRANTED BY postgres;
CREATE TABLESPACE fast OWNER postgres LOCATION '/fast';
-- PostgreSQL database cluster dump complete
"""


def test_each_role_has_its_own_statements_and_memberships_come_apart() -> None:
    clerk, odd = read_roles(GLOBALS)
    assert (clerk.name, odd.name) == ("clerk", 'odd "role"; DROP TABLE x')
    assert [statement.split()[0] for statement in clerk.statements] == ["CREATE", "ALTER", "COMMENT", "ALTER"]
    assert clerk.statements[1].endswith("'SCRAM-SHA-256$4096:a;b''c'")
    assert clerk.statements[2].endswith("'two\nlines; of it'")
    assert len(odd.statements) == 2
    assert clerk.memberships[0].startswith('GRANT "odd ""role""; DROP TABLE x" TO clerk')


def test_what_is_no_role_is_passed_over_and_nothing_makes_none() -> None:
    assert read_roles("") == []
    assert read_roles("CREATE TABLESPACE fast OWNER postgres LOCATION '/fast';\n") == []
