"""The database brought back with PostgreSQL's own programs: backup, WAL, recovery settings, start, looking, taking
production's place."""

from collections.abc import Iterator
from pathlib import Path

from engine.formats.settings_file import quote_setting
from engine.paper.blocks import Block, Code, Commands, Heading, Line, Paragraph, Points, Strong
from engine.paper.runbook.facts import Book
from engine.paper.runbook.shell import default, document, quoted, without_credentials
from engine.paper.runbook.unpacking import combine, unpack
from engine.records.lsn import SegmentName, format_lsn, segment_of
from engine.records.target import RecoveryPoint
from engine.recovery.lines import last_segment

_FILES = "postgresql.conf postgresql.auto.conf pg_hba.conf pg_ident.conf"


def head(book: Book) -> list[Block]:
    """The variables that everything below uses."""
    lines = [
        default("NEW", "/srv/restored", "an absent folder with room for all of it; an absolute, short path"),
        default("BIN", book.bin_dir, "PostgreSQL's programs"),
        default("AS", book.run_as, "who the server runs as"),
        default("PORT", "5440", "a free port"),
        'if [ "$(id -un)" = "$AS" ]; then as=; else as="runuser -u $AS --"; fi',
        'mkdir -p "$NEW" && chmod 0755 "$NEW"',
        'mkdir -m 0700 "$NEW/run" && chown "$AS:" "$NEW/run"',
        "umask 077",
        "cd /",
    ]
    told = (
        "As root, in a shell of its own (",
        Code("sh"),
        "). Set what is another here; all that follows depends on it. Whatever says an error: stop, and read.",
    )
    return [Heading("Before all else"), Paragraph(told), Commands("\n".join(lines))]


def database(book: Book) -> list[Block]:
    """All steps; or that nothing can be recovered."""
    point = book.point
    if point is None:
        return [Heading("The database"), Paragraph((Strong("No moment can be reached today:"), f" {book.why_not}"))]
    return [
        Heading("The database"),
        *_where(book, point),
        Heading("1. The backup becomes a data directory", 3),
        *_backup(point),
        Heading("2. It must do no harm", 3),
        *_harmless(),
        Heading("3. WAL, and where to stop", 3),
        *_recovery(book, point),
        Heading("4. Start, and look", 3),
        *_start(book, point),
        Heading("5. It takes production's place", 3),
        *_switch(book),
    ]


def _where(book: Book, point: RecoveryPoint) -> list[Block]:
    last = point.kept_commit
    reach = f"everything up to the commit at {last.at:%Y-%m-%d %H:%M:%S.%f} UTC" if last else "the backup's own state"
    chain = [
        (f"{'incremental' if each.incremental else 'full'} backup ", Code(str(each.path)), f", {_form(each)}")
        for each in point.chain
    ]
    wal: Line = "no WAL is needed"
    if point.wal_first:
        span = f"WAL {point.wal_first} to {point.wal_last}, {point.wal_segments} segments, in "
        wal = (span, Code(book.wal))
    return [
        Paragraph(f"What could be reached on the day of this page: {reach} (LSN {format_lsn(point.gate)})."),
        Points([*chain, wal]),
        Paragraph("Later there is a newer backup beside it, and more WAL: take the newest one that is whole."),
    ]


def _form(backup: object) -> str:
    form = getattr(backup, "format", "plain")
    compression = getattr(backup, "compression", None)
    return f"{form}, {compression}" if compression else str(form)


def _backup(point: RecoveryPoint) -> Iterator[Block]:
    verify = '$as "$BIN/pg_verifybackup" -n '
    if len(point.chain) == 1:
        backup = point.backup
        yield Commands(
            "\n".join(
                [
                    default("BACKUP", str(backup.path)),
                    'mkdir -p -m 0755 "$NEW/tablespaces"',
                    *unpack(backup, '"$BACKUP"', '"$NEW/data"', '"$NEW/tablespaces/"'),
                    'chown -R "$AS:" "$NEW/data" "$NEW/tablespaces"',
                    *([verify + '"$NEW/data"'] if backup.has_manifest else []),
                ]
            )
        )
    else:
        lines = ['mkdir -m 0755 "$NEW/chain"', 'mkdir -p -m 0755 "$NEW/tablespaces"']
        for number, backup in enumerate(point.chain, 1):
            into = f'"$NEW/chain/{number}"'
            lines += unpack(backup, quoted(backup.path), into, f'"$NEW/chain/{number}-"')
            lines += ['chown -R "$AS:" "$NEW/chain"', *([verify + into] if backup.has_manifest else [])]
        yield Commands("\n".join([*lines, *combine(len(point.chain), point.backup)]))
    if all(each.has_manifest for each in point.chain):
        yield Paragraph(("It must say ", Code("backup successfully verified"), "; else take an older backup."))


def _harmless() -> Iterator[Block]:
    yield Paragraph(
        "The copy's own settings are kept aside: they name production's folders, addresses and archive. Slots and "
        "signs of another server's life go."
    )
    lines = [
        f"for file in {_FILES}; do",
        '  if [ -e "$NEW/data/$file" ]; then mv "$NEW/data/$file" "$NEW/data/$file.original"; fi',
        "done",
        'cd "$NEW/data" && rm -f standby.signal recovery.signal postmaster.pid postmaster.opts tablespace_map; cd /',
        'rm -rf "$NEW/data/pg_replslot" && mkdir -m 0700 "$NEW/data/pg_replslot" && : > "$NEW/data/pg_ident.conf"',
        "printf 'local all all trust\\n' > \"$NEW/data/pg_hba.conf\" # its socket lies in a folder of $AS alone",
        'chown "$AS:" "$NEW/data/pg_replslot" "$NEW/data/pg_hba.conf" "$NEW/data/pg_ident.conf"',
    ]
    yield Commands("\n".join(lines))


def _recovery(book: Book, point: RecoveryPoint) -> Iterator[Block]:
    script = [
        "# restore-wal.sh NAME PATH: 1 says that the archive has no such file, 200 stops the server: what cannot be",
        "# read is not the archive's end.",
        "LC_ALL=C; export LC_ALL",
        f"archive={quoted(book.wal)}",
        'for file in "$archive/$1" "$archive/$1.zst" "$archive/$1.gz" "$archive/$1.lz4"; do',
        '  [ -f "$file" ] || continue',
        "  case $file in",
        '  *.zst) zstd -q -d -c -- "$file" > "$2" || exit 200 ;;',
        '  *.gz) gzip -d -c -- "$file" > "$2" || exit 200 ;;',
        '  *.lz4) lz4 -q -d -c -- "$file" > "$2" || exit 200 ;;',
        '  *) cp -- "$file" "$2" || exit 200 ;;',
        "  esac",
        "  exit 0",
        "done",
        *_needed(point),
        f'ls -- "$archive/{point.wal_last or ""}"* > /dev/null 2>&1 || exit 200 # away, or not mounted',
        "exit 1",
    ]
    yield Commands("\n".join(document('"$NEW/restore-wal.sh"', script)))
    settings = {
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "logging_collector": "off",
        "hot_standby": "on",
        "archive_mode": "on",
        "archive_command": "",
        "max_logical_replication_workers": "0",
        **({"shared_preload_libraries": ", ".join(book.libraries)} if book.libraries else {}),
        **dict(book.settings),
        "recovery_target_timeline": str(point.timeline),
    }
    lines = [f"{name} = {quote_setting(value)}" for name, value in settings.items()]
    example = f"{(point.kept_commit.at if point.kept_commit else book.at):%Y-%m-%d %H:%M:%S+00}"
    lines += [
        "# Without these it replays all that there is. To stop before an accident, take the signs away:",
        f"#recovery_target_time = '{example}'",
        "#recovery_target_inclusive = off",
        "#recovery_target_action = 'promote'",
    ]
    yield Commands(
        "\n".join(
            [
                *document('"$NEW/data/postgresql.conf"', lines),
                'cat >> "$NEW/data/postgresql.conf" <<END',
                "port = $PORT",
                "unix_socket_directories = '$NEW/run'",
                'restore_command = \'sh "$NEW/restore-wal.sh" %f "%p"\'',
                "END",
                'touch "$NEW/data/recovery.signal"',
                'chown "$AS:" "$NEW/restore-wal.sh" "$NEW/data/postgresql.conf" "$NEW/data/recovery.signal"',
                'if command -v restorecon > /dev/null; then restorecon -R "$NEW"; fi',
            ]
        )
    )
    who = f"{book.run_as} must be able to read the archive, or the server stops and says so."
    yield Paragraph(("The signal file makes it recover: without it the server would open what it has. ", who))


def _needed(point: RecoveryPoint) -> Iterator[str]:
    """Lines that stop the server where a segment is missing that the recovery needs: PostgreSQL would take the hole for
    the archive's end, and open."""
    size = point.segment_size
    if point.pieces:
        yield 'needed() { [ "$(printf \'%s\\n\' "$2" "$1" "$3" | sort | sed -n 2p)" = "$1" ]; }'
    for piece in point.pieces:
        first, last = segment_of(piece.low, size), last_segment(piece.high, size)
        if first <= last:
            names = " ".join(SegmentName(piece.timeline, number).text(size) for number in (first, last))
            yield f'if needed "$1" {names}; then exit 200; fi'


def _start(book: Book, point: RecoveryPoint) -> Iterator[Block]:
    user, dbname = quoted(book.site.database.user), quoted(book.site.database.dbname)
    yield Commands(
        "\n".join(
            [
                '$as "$BIN/pg_ctl" -D "$NEW/data" -l "$NEW/run/server.log" -w -t 86400 start',
                f'ask() {{ $as "$BIN/psql" -X -h "$NEW/run" -p "$PORT" -U {user} -d {dbname} -Atc "$1"; }}',
                'while $as "$BIN/pg_ctl" -D "$NEW/data" status > /dev/null &&',
                "  [ \"$(ask 'SELECT pg_is_in_recovery()')\" != f ]; do sleep 1; done",
                "echo \"last replayed transaction: $(ask 'SELECT pg_last_xact_replay_timestamp()')\"",
                *[
                    f'echo "question {number} of the site, must be t: $(ask {quoted(query)})"'
                    for number, query in enumerate(book.site.verify.sql, 1)
                ],
            ]
        )
    )
    last = f", today {point.kept_commit.at:%Y-%m-%d %H:%M:%S.%f} UTC" if point.kept_commit else ""
    told = f"The last replayed transaction must be the one that you want{last}. What went wrong stands in "
    yield Paragraph((told, Code("$NEW/run/server.log"), "."))


def _switch(book: Book) -> Iterator[Block]:
    live = book.site.database.data_dir
    yield Paragraph(
        "Only when what you see is right. Production's server must be stopped, and so must the application. Nothing is "
        "deleted: what stood there stands beside it afterwards."
    )
    lines = [
        default("LIVE", live, "production's data directory"),
        '$as "$BIN/pg_ctl" -D "$NEW/data" -w stop',
        'if [ -e "$LIVE" ]; then mv "$LIVE" "$LIVE.before-$(date -u +%Y%m%dT%H%M%SZ)"; fi',
        'mv "$NEW/data" "$LIVE.coming" && mv "$LIVE.coming" "$LIVE"',
        f"for file in {_FILES}; do",
        '  rm -f "$LIVE/$file"',
        '  if [ -e "$LIVE/$file.original" ]; then mv "$LIVE/$file.original" "$LIVE/$file"; fi',
        "done",
    ]
    yield Commands("\n".join(lines))
    if book.outside:
        yield Paragraph("Its configuration lay outside the data directory. Where it is gone, these are its copies:")
        copies = [
            f"if [ ! -e {quoted(place)} ]; then (umask 022; mkdir -p {quoted(Path(place).parent)}); "
            f'cp {quoted(copy)} {quoted(place)}; chmod 0640 {quoted(place)}; chown "$AS:" {quoted(place)}; fi'
            for copy, place in book.outside
        ]
        yield Commands("\n".join(copies))
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
        "Where the data directory is a mount point, it is what lies in it that is moved.",
        "Take a base backup at once. Standbys, replication slots and subscribers must be built anew.",
    ]
    if book.point is not None and book.point.backup.tablespaces:
        points.append("Tablespaces stay in $NEW/tablespaces: leave that folder where it is.")
    if book.extensions:
        points.append(f"Extensions that must be installed: {', '.join(book.extensions)}.")
    yield Points(points)


def copies_elsewhere(book: Book) -> list[Block]:
    """The second places, and how they are fetched."""
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
        Commands("\n".join(lines)),
    ]
