"""The database brought back with PostgreSQL's own programs: backup, WAL, recovery settings, start, looking."""

from collections.abc import Iterator

from engine.formats.settings_file import quote_setting
from engine.paper.blocks import Block, Code, Heading, Line, Paragraph, Points, Strong
from engine.paper.runbook.facts import CONFIGURATION, Book
from engine.paper.runbook.fetching_wal import restore_script
from engine.paper.runbook.shell import default, document, part, quoted
from engine.paper.runbook.switching import switch
from engine.paper.runbook.unpacking import combine, unpack
from engine.records.lsn import format_lsn
from engine.records.target import RecoveryPoint
from engine.recovery.settings import room_for_segments


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
        *switch(book),
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
        lines = [
            default("BACKUP", str(backup.path)),
            'mkdir -m 0755 "$NEW/tablespaces"',
            *unpack(backup, '"$BACKUP"', '"$NEW/data"', '"$NEW/tablespaces/"'),
            'chown -R "$AS:" "$NEW/data" "$NEW/tablespaces"',
            *([verify + '"$NEW/data"'] if backup.has_manifest else []),
        ]
    else:
        lines = ['mkdir -m 0755 "$NEW/chain" "$NEW/tablespaces"']
        for number, backup in enumerate(point.chain, 1):
            into = f'"$NEW/chain/{number}"'
            lines += unpack(backup, quoted(backup.path), into, f'"$NEW/chain/{number}-"')
            lines += ['chown -R "$AS:" "$NEW/chain"', *([verify + into] if backup.has_manifest else [])]
        lines += combine(len(point.chain), point.backup)
    yield part("a data directory", lines)
    if all(each.has_manifest for each in point.chain):
        yield Paragraph(("It must say ", Code("backup successfully verified"), "; else take an older backup."))


def _harmless() -> Iterator[Block]:
    yield Paragraph(
        "The copy's own settings are kept aside: they name production's folders, addresses and archive. Slots and "
        "signs of another server's life go."
    )
    lines = [
        'mkdir "$NEW/original"',
        f"for file in {CONFIGURATION}; do",
        '  if [ -e "$NEW/data/$file" ]; then mv "$NEW/data/$file" "$NEW/original/$file"; fi',
        "done",
        "for file in standby.signal recovery.signal postmaster.pid postmaster.opts tablespace_map; do",
        '  rm -f "$NEW/data/$file"',
        "done",
        'rm -rf "$NEW/data/pg_replslot"',
        'mkdir -m 0700 "$NEW/data/pg_replslot"',
        ': > "$NEW/data/pg_ident.conf"',
        "printf 'local all all trust\\n' > \"$NEW/data/pg_hba.conf\" # its socket lies in a folder of $AS alone",
        'chown "$AS:" "$NEW/data/pg_replslot" "$NEW/data/pg_hba.conf" "$NEW/data/pg_ident.conf"',
    ]
    yield part("harmless", lines)


def _recovery(book: Book, point: RecoveryPoint) -> Iterator[Block]:
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
        **room_for_segments(point.segment_size),
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
    yield part("the WAL can be found", document('"$NEW/restore-wal.sh"', restore_script(book.wal, point)))
    yield part(
        "it will recover",
        [
            'if [ ! -d "$NEW/original" ]; then refuse "part 2 has not been done"; fi',
            *document('"$NEW/data/postgresql.conf"', lines),
            'cat >> "$NEW/data/postgresql.conf" <<END',
            "port = $PORT",
            "unix_socket_directories = '$NEW/run'",
            'restore_command = \'sh "$NEW/restore-wal.sh" %f "%p"\'',
            "END",
            'touch "$NEW/data/recovery.signal"',
            'chown "$AS:" "$NEW/restore-wal.sh" "$NEW/data/postgresql.conf" "$NEW/data/recovery.signal"',
            'if command -v restorecon > /dev/null; then restorecon -R "$NEW"; fi',
        ],
    )
    who = f"{book.run_as} must be able to read the archive, or the server stops and says so."
    yield Paragraph(("The signal file makes it recover: without it the server would open what it has. ", who))


def _start(book: Book, point: RecoveryPoint) -> Iterator[Block]:
    control = '$as "$BIN/pg_ctl" -D "$NEW/data"'
    signal = "without the signal file of part 3 the server would open what it has"
    lines = [
        f'if [ ! -e "$NEW/data/recovery.signal" ]; then refuse "{signal}"; fi',
        f'{control} -l "$NEW/run/server.log" -w -t 86400 start',
        f"while {control} status > /dev/null &&",
        "  [ \"$(ask 'SELECT pg_is_in_recovery()')\" != f ]; do sleep 1; done",
        f'if ! {control} status > /dev/null; then refuse "the server ended: see $NEW/run/server.log"; fi',
        "echo \"last replayed transaction: $(ask 'SELECT pg_last_xact_replay_timestamp()')\"",
        *[
            f'echo "question {number} of the site, must be t: $(ask {quoted(query)})"'
            for number, query in enumerate(book.site.verify.sql, 1)
        ],
    ]
    yield part("it runs", lines)
    last = f", today {point.kept_commit.at:%Y-%m-%d %H:%M:%S.%f} UTC" if point.kept_commit else ""
    told = f"The last replayed transaction must be the one that you want{last}. What went wrong stands in "
    yield Paragraph((told, Code("$NEW/run/server.log"), "."))
