"""Rows of the database that refer to a file, as the site's query names them: by each further column its value, a
number, true or false, None, or text that is cut short."""

from collections.abc import Mapping, Sequence

from engine.records.printable import printable

NamedRow = Mapping[str, object]
NAMELESS = (
    "which rows these are is not known: let [media] references return their key too (SELECT path, size, sha256, id)"
)


def told_row(row: NamedRow) -> str:
    """``id 17, title "Contract"``, in one printable line; a column without a name is told by its value alone."""
    return ", ".join(" ".join(filter(None, (_name(name), _value(value)))) for name, value in row.items())


def told_rows(named: Sequence[NamedRow], rows: int) -> str:
    """The rows of a file of which some are named, and how many more there are; empty where none is."""
    told = [told_row(each) for each in named]
    if told and rows > len(told):
        more = rows - len(told)
        told.append(f"and {more} more row{'s' if more != 1 else ''}")
    return "; ".join(told)


def _name(name: str) -> str:
    return "" if name.startswith("?column?") else printable(name)  # what PostgreSQL calls one that has none


def _value(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"{}"'.format(printable(value.replace("\\", "\\\\").replace('"', '\\"')))
    return str(value)
