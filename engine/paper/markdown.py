"""A page as Markdown (CommonMark, with GitHub's tables), which is read as often as it is rendered: only what would be
taken for markup is escaped."""

import re
from collections.abc import Iterator

from engine.paper.blocks import Block, Code, Commands, Heading, Line, Page, Paragraph, Picture, Points, Strong, spans

_MARKUP = re.compile(r"[\\`*<]|\[(?=[^\]]*\][(\[])")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f]")


def markdown(page: Page) -> str:
    """The page, with a line's end at its end."""
    lines = [f"# {_plain(page.title)}"]
    for block in page.blocks:
        lines += ["", *_block(block)]
    return "\n".join(lines) + "\n"


def _block(block: Block) -> Iterator[str]:
    match block:
        case Heading(text, level):
            yield f"{'#' * level} {_plain(text)}"
        case Paragraph(line):
            yield _line(line)
        case Points():
            yield from _points(block, "")
        case Commands(text):
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
            yield from (f"{fence}sh", *text.split("\n"), fence)
        case Picture(_, told):
            yield _plain(told)
        case _:
            yield "| " + " | ".join(map(_cell, block.head)) + " |"
            ruler = ("---:" if place in block.numbers else "---" for place in range(len(block.head)))
            yield "| " + " | ".join(ruler) + " |"
            for row in block.rows:
                yield "| " + " | ".join(map(_cell, row)) + " |"


def _points(points: Points, indent: str) -> Iterator[str]:
    for item in points.items:
        if isinstance(item, Points):
            yield from _points(item, indent + "  ")
        else:
            yield f"{indent}- {_line(item)}"


def _cell(line: Line) -> str:
    return _line(line).replace("|", "\\|")


def _line(line: Line) -> str:
    return "".join(_span(each) for each in spans(line))


def _span(span: str | Code | Strong) -> str:
    if isinstance(span, str):
        return _plain(span)
    if isinstance(span, Strong):
        return f"**{_plain(span.text)}**"
    text = _UNSEEN.sub(_escape, span.text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    edge = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{edge}{text}{edge}{fence}"


def _plain(text: str) -> str:
    return _MARKUP.sub(r"\\\g<0>", _UNSEEN.sub(_unseen, text))


def _unseen(found: re.Match[str]) -> str:
    return " " if found[0] in "\n\t" else _escape(found)


def _escape(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}"
