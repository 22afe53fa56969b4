"""What a page is made of. Texts are plain: whoever writes the page escapes them as its form wants it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Code:
    """Something to be read letter by letter: a path, a command, a name."""

    text: str


@dataclass(frozen=True, slots=True)
class Strong:
    """The word that must not be overlooked."""

    text: str


Line: TypeAlias = "str | Code | Strong | Sequence[str | Code | Strong]"


def spans(line: Line) -> Sequence[str | Code | Strong]:
    """The pieces of a line."""
    return (line,) if isinstance(line, (str, Code, Strong)) else line


@dataclass(frozen=True, slots=True)
class Heading:
    """``level`` 2 or 3; the page's title is 1."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    line: Line


@dataclass(frozen=True, slots=True)
class Points:
    """A list; an item may be a list of its own, which belongs to the one before it."""

    items: "Sequence[Line | Points]"


@dataclass(frozen=True, slots=True)
class Table:
    """``numbers`` are the columns that are aligned to the right."""

    head: Sequence[str]
    rows: Sequence[Sequence[Line]]
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Commands:
    """Lines for a shell, to be typed or taken as they stand."""

    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """``svg`` is an element of our own making; ``told`` says the same in words."""

    svg: str
    told: str


Block: TypeAlias = Heading | Paragraph | Points | Table | Commands | Picture


@dataclass(frozen=True, slots=True)
class Page:
    title: str
    blocks: Sequence[Block]
