"""The roles in a dump of a cluster's globals: which statements make which role.

pg_dumpall writes (src/bin/pg_dump/pg_dumpall.c, dumpRoles and dumpRoleMembership) ``CREATE ROLE x;``, ``ALTER ROLE x
WITH …;``, ``GRANT g TO x …;``, ``ALTER ROLE x SET …;``. A name in double quotes may hold anything.
"""

import re
from collections.abc import Iterator

from msgspec import Struct, field

_NAME = r'(?:"((?:[^"]|"")+)"|([A-Za-z_\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*))'
_CREATE = re.compile(rf"CREATE ROLE {_NAME}\Z")
_ALTER = re.compile(rf"ALTER ROLE {_NAME} (?:WITH|SET) ", re.DOTALL)
_SETS = re.compile(rf"ALTER ROLE {_NAME} SET ")
_GRANT = re.compile(rf"GRANT {_NAME} TO {_NAME}(?: |\Z)", re.DOTALL)
_COMMENT = re.compile(rf"COMMENT ON ROLE {_NAME} IS ", re.DOTALL)


class Role(Struct):
    """A role and the statements that make it, memberships apart: those want every role to be there."""

    name: str
    statements: list[str] = field(default_factory=list)
    memberships: list[str] = field(default_factory=list)


def read_roles(text: str) -> list[Role]:
    """The roles of a dump of globals, in its order. What is none of a role's statements is passed over."""
    roles: dict[str, Role] = {}
    for statement in _statements(text):
        if found := _CREATE.match(statement):
            name = _plain(found[1], found[2])
            roles.setdefault(name, Role(name)).statements.append(statement)
        elif found := _ALTER.match(statement) or _COMMENT.match(statement):
            name = _plain(found[1], found[2])
            if name in roles:
                roles[name].statements.append(statement)
        elif found := _GRANT.match(statement):
            name = _plain(found[3], found[4])
            if name in roles:
                roles[name].memberships.append(statement)
    return list(roles.values())


def sets_parameter(statement: str) -> bool:
    """Whether one of a role's statements sets a parameter for its sessions."""
    return _SETS.match(statement) is not None


def _plain(quoted: str | None, bare: str | None) -> str:
    return quoted.replace('""', '"') if quoted is not None else (bare or "")


def _statements(text: str) -> Iterator[str]:
    """Statements without their semicolon; quotes are respected, comments and psql's own commands left out."""
    piece: list[str] = []
    quote: str | None = None
    for line in text.splitlines(keepends=True):
        if quote is None and not piece and (line.startswith(("--", "\\")) or not line.strip()):
            continue
        for character in line:
            if quote is not None:
                quote = None if character == quote else quote
            elif character in "\"'":
                quote = character
            elif character == ";":
                yield "".join(piece).strip()
                piece = []
                continue
            piece.append(character)
        if not "".join(piece).strip():
            piece = []
