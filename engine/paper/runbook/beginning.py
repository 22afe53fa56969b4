"""What is typed before all else: the variables that everything below uses."""

from engine.paper.blocks import Block, Code, Commands, Heading, Paragraph
from engine.paper.runbook.facts import Book
from engine.paper.runbook.shell import default, part, quoted


def beginning(book: Book) -> list[Block]:
    """The variables, and the folder that everything goes into. A folder of another's is never taken for it: without NEW
    none of the parts does anything."""
    user, dbname = quoted(book.site.database.user), quoted(book.site.database.dbname)
    variables = [
        default("NEW", "/srv/restored", "an absent folder with room for all of it; an absolute, short path"),
        default("BIN", book.bin_dir, "PostgreSQL's programs"),
        default("AS", book.run_as, "who the server runs as"),
        default("PORT", "5440", "a free port"),
        'if [ "$(id -un)" = "$AS" ]; then as=; else as="runuser -u $AS --"; fi',
        'refuse() { echo "NOT DONE: $1" >&2; exit 1; }',
        f'ask() {{ $as "$BIN/psql" -X -h "$NEW/run" -p "$PORT" -U {user} -d {dbname} -Atc "$1"; }}',
        "umask 077",
        "cd /",
        'if [ -e "$NEW" ] && [ ! -e "$NEW/by-hand" ]; then',
        '  echo "$NEW is there already: set NEW to an absent folder, and type this again" >&2; unset NEW',
        "fi",
    ]
    folder = [
        'mkdir -p "$NEW/run"',
        'chmod 0755 "$NEW"',
        'chown "$AS:" "$NEW/run"',
        ': > "$NEW/by-hand"',
    ]
    told = (
        "As root, in a shell of its own (",
        Code("sh"),
        "). Set what is another here; all that follows depends on it. Each part ends with the first line that fails, "
        "and says ",
        Code("done"),
        " where none did. Where it does not say so: stop, and read.",
    )
    return [Heading("Before all else"), Paragraph(told), Commands("\n".join(variables)), part("the folder", folder)]
