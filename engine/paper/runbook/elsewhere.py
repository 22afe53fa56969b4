"""The second places, and how copies are fetched from there."""

from engine.paper.blocks import Block, Code, Heading, Paragraph, Points
from engine.paper.runbook.facts import Book
from engine.paper.runbook.shell import part, quoted, without_credentials


def elsewhere(book: Book) -> list[Block]:
    """Nothing where there is no second place."""
    if not book.seconds:
        return []
    lines = []
    for place in book.seconds:
        lines += [
            f"mkdir -p {quoted(place.folder)}",
            f'rsync -aHs --ignore-existing -e "${{SSH:-ssh}}{f" -p {place.port}" if place.port else ""}" '
            f"{quoted(place.source + '/')} {quoted(place.folder + '/')}",
        ]
    told = "Where a folder with copies is gone, the same copies lie on another server. What is there is not replaced:"
    return [
        Heading("Copies on another server"),
        Paragraph(told),
        Points([(Code(place.folder), ": ", Code(without_credentials(place.source))) for place in book.seconds]),
        part("the copies are here", lines),
    ]
