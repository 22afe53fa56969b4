"""What a page is made of. Texts are plain: whoever writes the page escapes them as its form wants it."""

from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Struct


class Code(Struct, frozen=True):
    """Something to be read letter by letter: a path, a command, a name."""

    text: str


class Strong(Struct, frozen=True):
    """The word that must not be overlooked."""

    text: str


Line: TypeAlias = "str | Code | Strong | Sequence[str | Code | Strong]"


def spans(line: Line) -> Sequence[str | Code | Strong]:
    """The pieces of a line."""
    return (line,) if isinstance(line, (str, Code, Strong)) else line


class Heading(Struct, frozen=True):
    """``level`` 2 or 3; the page's title is 1."""

    text: str
    level: int = 2


class Paragraph(Struct, frozen=True):
    line: Line


class Points(Struct, frozen=True):
    """A list; an item may be a list of its own, which belongs to the one before it."""

    items: "Sequence[Line | Points]"


class Table(Struct, frozen=True):
    """``numbers`` are the columns that are aligned to the right."""

    head: Sequence[str]
    rows: Sequence[Sequence[Line]]
    numbers: frozenset[int] = frozenset()


class Commands(Struct, frozen=True):
    """Lines for a shell, to be typed or taken as they stand."""

    text: str


class Picture(Struct, frozen=True):
    """``svg`` is an element of our own making; ``told`` says the same in words."""

    svg: str
    told: str


Block: TypeAlias = Heading | Paragraph | Points | Table | Commands | Picture


class Page(Struct, frozen=True):
    title: str
    blocks: Sequence[Block]
