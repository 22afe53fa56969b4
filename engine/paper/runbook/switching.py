"""The recovered cluster takes production's place, by hand. What production has is renamed, never written into: its own
settings come back in the copy, before that goes anywhere near production."""

from collections.abc import Iterator
from pathlib import Path

from engine.paper.blocks import Block, Code, Line, Paragraph, Points
from engine.paper.runbook.facts import CONFIGURATION, Book
from engine.paper.runbook.shell import default, part, quoted


def switch(book: Book) -> Iterator[Block]:
    """The renames, configuration from outside, and what is left to do."""
    yield Paragraph(
        "Only when what you see is right. Production's server must be stopped, and so must the application. Nothing is "
        "deleted: what stood there stands beside it afterwards."
    )
    yield part("it stands where production stood", [*_refusals(book), *_renames()])
    if book.outside:
        yield Paragraph("Its configuration lay outside the data directory. Where it is gone, these are its copies:")
        yield part("the configuration is there", [_where_it_is_gone(copy, place) for copy, place in book.outside])
    yield Points(_left_to_do(book))


def _refusals(book: Book) -> Iterator[str]:
    """Lines that end the part before anything is changed."""
    yield default("LIVE", book.site.database.data_dir, "production's data directory")
    yield "LIVE=${LIVE%/}"
    for condition, why in (
        (
            'mountpoint -q "$LIVE"',
            "$LIVE is a mount point, not to be renamed: set LIVE to an absent folder in it",
        ),
        ('[ -e "$LIVE/postmaster.pid" ]', "a server runs in $LIVE: stop it; if it crashed, rename its postmaster.pid"),
        ('[ ! -e "$NEW/data" ] && [ ! -e "$LIVE.coming" ]', "there is no copy: has it taken its place already?"),
        ('[ -e "$NEW/data" ] && [ -e "$LIVE.coming" ]', "$LIVE.coming is in the way: rename it"),
        ('[ ! -d "$NEW/original" ]', "part 2 has not been done"),
        ('[ -e "$NEW/data/recovery.signal" ]', "the copy has not come to the end of its recovery"),
    ):
        yield f'if {condition}; then refuse "{why}"; fi'


def _renames() -> Iterator[str]:
    """Lines that stop the copy, give it its own settings, and rename. Typed again, they go on where they failed."""
    yield 'if [ -e "$NEW/data" ]; then'
    yield '  if [ -e "$NEW/data/postmaster.pid" ]; then $as "$BIN/pg_ctl" -D "$NEW/data" -w stop; fi'
    yield f"  for file in {CONFIGURATION}; do"
    yield '    rm -f "$NEW/data/$file"'
    yield '    if [ -e "$NEW/original/$file" ]; then cp -a "$NEW/original/$file" "$NEW/data/$file"; fi'
    yield "  done"
    yield '  mv -T "$NEW/data" "$LIVE.coming"'
    yield "fi"
    yield 'if [ -e "$LIVE" ] || [ -L "$LIVE" ]; then mv -T "$LIVE" "$LIVE.before-$(date -u +%Y%m%dT%H%M%SZ)"; fi'
    yield 'mv -T "$LIVE.coming" "$LIVE"'


def _where_it_is_gone(copy: str, place: str) -> str:
    return (
        f"if [ ! -e {quoted(place)} ]; then (umask 022; mkdir -p {quoted(Path(place).parent)}); "
        f'cp {quoted(copy)} {quoted(place)}; chmod 0640 {quoted(place)}; chown "$AS:" {quoted(place)}; fi'
    )


def _left_to_do(book: Book) -> list[Line]:
    points: list[Line] = [
        "Start it as it is always started ([database] start_command of the site file, else the machine's service).",
        (
            "Look into ",
            Code("postgresql.auto.conf"),
            " first: nothing of another life may stand there, such as ",
            Code("recovery_target_*"),
            ", ",
            Code("primary_conninfo"),
            " or ",
            Code("archive_cleanup_command"),
            ".",
        ),
        "Its new timeline's history file goes into the archive by itself once archive_command is production's again.",
        (
            "Where the data directory is a mount point: an absent folder in it becomes ",
            Code("LIVE"),
            ", and production's ",
            Code("data_directory"),
            " from now on.",
        ),
        "Take a base backup at once. Standbys, replication slots and subscribers must be built anew.",
    ]
    if book.point is not None and book.point.backup.tablespaces:
        points.append("Tablespaces stay in $NEW/tablespaces: leave that folder where it is.")
    if book.extensions:
        points.append(f"Extensions that must be installed: {', '.join(book.extensions)}.")
    return points
