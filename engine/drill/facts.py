"""What really happened, by name: ``accident.xid``. Nobody is told before the end."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from engine.records.errors import RepriseError

Facts = Mapping[str, Any]

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_-]*(?:\.[a-z0-9_(), -]+)+)\}")
_FINGERPRINT = re.compile(r"([a-z_][a-z0-9_]*)(?:\(([a-z0-9_, ]+)\))?\Z")


class Fingerprint(NamedTuple):
    """Which table, and which of its columns (none named: all)."""

    table: str
    columns: tuple[str, ...]

    @property
    def query(self) -> str:
        """How many rows there are up to a highest id, the highest, and their digest. Takes the id twice."""
        columns = ", ".join(f'"{column}"' for column in self.columns) or "*"
        return (
            "SELECT count(*), coalesce(max(id), 0), "
            "encode(sha256(convert_to(coalesce(string_agg(one::text, E'\\n' ORDER BY id), ''), 'UTF8')), 'hex') "
            f'FROM (SELECT {columns} FROM "{self.table}" WHERE id <= coalesce(%s, id)) AS one'
        )


def read_fingerprint(text: str) -> Fingerprint:
    """``documents(id, owner)``. Raises ValueError that says what would be right."""
    found = _FINGERPRINT.match(text)
    columns = tuple(column.strip() for column in (found[2] or "").split(",") if column.strip()) if found else ()
    if found is None or (columns and "id" not in columns):
        raise ValueError("a table, or columns of it with id among them: documents(id, owner)")
    return Fingerprint(found[1], columns)


def placeholders(text: str) -> Iterator[str]:
    """The facts that a text names."""
    for found in _PLACEHOLDER.finditer(text):
        yield found[1]


def fill_in(words: Sequence[str], facts: Facts) -> list[str]:
    """Command line words with their facts. Raises RepriseError."""
    return [_PLACEHOLDER.sub(lambda found: str(_fact(found[1], facts)), word) for word in words]


def as_query(text: str, facts: Facts) -> tuple[str, list[Any]]:
    """SQL with its facts as parameters. Raises RepriseError."""
    values = [_fact(name, facts) for name in placeholders(text)]
    return _PLACEHOLDER.sub("%s", text.replace("%", "%%")), values


def _fact(name: str, facts: Facts) -> Any:
    if name not in facts:
        raise RepriseError(f"the scenario speaks of {{{name}}}, and no step has noted that")
    return facts[name]
