"""The page for the safe, part by part."""

from engine.paper.blocks import Block, Code, Commands, Heading, Page, Paragraph, Points, Strong, Table
from engine.paper.runbook.beginning import beginning
from engine.paper.runbook.database import database
from engine.paper.runbook.elsewhere import elsewhere
from engine.paper.runbook.facts import Book
from engine.paper.runbook.others import others
from engine.paper.runbook.shell import quoted

_LINE = "_" * 28


def runbook_page(book: Book) -> Page:
    """The whole of it."""
    reached = book.point.kept_commit if book.point is not None else None
    now = f"{book.at:%Y-%m-%d %H:%M} UTC"
    until = f" Everything up to {reached.at:%Y-%m-%d %H:%M:%S} UTC could be brought back." if reached else ""
    blocks: list[Block] = [
        Paragraph((f"Made on {now} from the site file and the copies.", until, " Make it anew when places change.")),
        Paragraph((Strong("Do not hurry."), " Destroy nothing: rename what is in the way. Write down what you do.")),
        *_people(),
        *_with_reprise(book),
        Heading("Without this program"),
        Paragraph("Only PostgreSQL's programs and those of any Linux. One part after the other, each as it stands."),
        *_level_down(beginning(book)),
        *_level_down(elsewhere(book)),
        *_level_down(database(book)),
        *_level_down(others(book)),
    ]
    return Page(f"Runbook of {book.site.name}", blocks)


def _level_down(blocks: list[Block]) -> list[Block]:
    return [Heading(each.text, each.level + 1) if isinstance(each, Heading) else each for each in blocks]


def _people() -> list[Block]:
    rows = [
        (who, _LINE, _LINE) for who in ("decides", "database", "servers and storage", "the application", "provider")
    ]
    return [
        Heading("Whom to call"),
        Table(("who", "name", "telephone"), rows),
        Paragraph(f"Passwords are not on this page. They are kept: {_LINE}{_LINE}"),
    ]


def _with_reprise(book: Book) -> list[Block]:
    kept = book.point.kept_commit if book.point is not None else None
    moment = f"{kept.at if kept is not None else book.at:%Y-%m-%dT%H:%M:%SZ}"
    lines = [
        f'reprise() {{ command reprise --site {quoted(book.site_file)} --state {quoted(book.state)} "$@"; }}',
        *_told(
            ("reprise", "the screen: pick a moment, read the plan"),
            ("reprise status", "how the copies stand"),
            (f"reprise restore --time {moment} --into DIR", "a copy beside production: harms nothing"),
            ("reprise restore --latest --in-place", "the end of all that there is; the old cluster is kept"),
            ("reprise report latest", "what came of it"),
            ("reprise fetch ssh://USER@HOST/PATH --into DIR", "copies that are on another server only"),
            ("reprise init --from DIR", "on a bare machine: a site file from the backups"),
        ),
    ]
    told = ("With this program, as root. It asks before it changes anything, and ", Code("reprise rollback RUN"))
    return [
        Heading("With Reprise"),
        Paragraph((*told, " takes a restore in place back.")),
        Commands("\n".join(lines)),
        Points([("the site file: ", Code(book.site_file)), ("runs and their reports: ", Code(book.state))]),
    ]


def _told(*lines: tuple[str, str]) -> list[str]:
    width = max(len(command) for command, _ in lines)
    return [f"{command:<{width}}  # {what}" for command, what in lines]
