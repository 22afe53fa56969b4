"""A page as one HTML file: nothing is loaded, nothing runs, every text is escaped; black on white on A4."""

import re
from collections.abc import Iterator, Sequence
from html import escape

from engine.paper.blocks import Block, Code, Commands, Heading, Line, Page, Paragraph, Picture, Points, Strong, spans

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
@page {{ size: A4; margin: 18mm 16mm; }}
body {{ font: 11pt/1.45 "Liberation Sans", Arial, Helvetica, sans-serif; color: #111; background: #fff;
  max-width: 178mm; margin: 10mm auto; padding: 0 4mm; }}
h1 {{ font-size: 18pt; line-height: 1.2; margin: 0 0 4mm; }}
h2 {{ font-size: 13pt; margin: 8mm 0 2mm; border-bottom: 0.3mm solid #888; padding-bottom: 1mm; }}
h3 {{ font-size: 11pt; margin: 5mm 0 1mm; }}
h1, h2, h3 {{ break-after: avoid; }}
p, ul {{ margin: 2mm 0; }}
ul {{ padding-left: 5mm; }}
li, tr, svg {{ break-inside: avoid; }}
code, pre {{ font: 9pt/1.4 "Liberation Mono", Menlo, Consolas, monospace; }}
code {{ overflow-wrap: anywhere; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; border: 0.2mm solid #bbb; padding: 2mm; margin: 2mm 0; }}
table {{ border-collapse: collapse; width: 100%; margin: 2mm 0; font-size: 10pt; }}
th, td {{ text-align: left; vertical-align: top; padding: 1mm 2mm; border-bottom: 0.2mm solid #bbb;
  overflow-wrap: anywhere; }}
.number {{ text-align: right; white-space: nowrap; }}
thead {{ display: table-header-group; }}
figure {{ margin: 3mm 0; }}
figcaption {{ font-size: 9pt; }}
svg {{ width: 100%; height: auto; }}
@media print {{ body {{ max-width: none; margin: 0; padding: 0; }} }}
</style>
</head>
<body>
<h1>{title}</h1>
"""


def html(page: Page) -> str:
    """The whole file."""
    body = "\n".join(part for block in page.blocks for part in _block(block))
    return f"{_HEAD.format(title=_text(page.title))}{body}\n</body>\n</html>\n"


def _block(block: Block) -> Iterator[str]:
    match block:
        case Heading(text, level):
            yield f"<h{level}>{_text(text)}</h{level}>"
        case Paragraph(line):
            yield f"<p>{_line(line)}</p>"
        case Points():
            yield _points(block)
        case Commands(text):
            yield f"<pre>{_text(text)}</pre>"
        case Picture(svg, told):
            yield f"<figure>{svg}<figcaption>{_text(told)}</figcaption></figure>"
        case _:
            yield "<table><thead>" + _row("th", block.head, block.numbers) + "</thead><tbody>"
            yield from (_row("td", row, block.numbers) for row in block.rows)
            yield "</tbody></table>"


def _points(points: Points) -> str:
    items: list[str] = []
    for item in points.items:
        if isinstance(item, Points):
            items[-1:] = [items[-1] + _points(item)] if items else [_points(item)]
        else:
            items.append(_line(item))
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


def _row(cell: str, row: Sequence[Line], numbers: frozenset[int]) -> str:
    cells = [
        f'<{cell} class="number">{_line(line)}</{cell}>' if place in numbers else f"<{cell}>{_line(line)}</{cell}>"
        for place, line in enumerate(row)
    ]
    return "<tr>" + "".join(cells) + "</tr>"


def _line(line: Line) -> str:
    return "".join(_span(each) for each in spans(line))


def _span(span: str | Code | Strong) -> str:
    if isinstance(span, str):
        return _text(span)
    name = "strong" if isinstance(span, Strong) else "code"
    return f"<{name}>{_text(span.text)}</{name}>"


def _text(text: str) -> str:
    """A text without markup; control characters, which HTML does not allow, are told in words of their own."""
    return escape(_UNSEEN.sub(lambda found: f"\\x{ord(found[0]):02x}", text), quote=True)
