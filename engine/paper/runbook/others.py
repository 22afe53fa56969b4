"""What is brought back besides the cluster: a dump, the users' files, the source code, the environment."""

from engine.paper.blocks import Block, Code, Heading, Paragraph
from engine.paper.runbook.facts import Book, LogicalCopy
from engine.paper.runbook.shell import default, part, quoted, without_credentials
from engine.records.copies import ImageCopy, MediaSnapshot, SourceCopy
from engine.site import MediaRepository


def others(book: Book) -> list[Block]:
    """Each of them that has a copy."""
    blocks: list[Block] = []
    for snapshot, repository in book.snapshots:
        blocks += _files(book, snapshot, repository)
    for dump in book.dumps:
        blocks += _dump(book, dump)
    for source in book.sources:
        blocks += _source(source)
    for image in book.images:
        blocks += _image(image)
    return blocks


def _files(book: Book, snapshot: MediaSnapshot, repository: MediaRepository) -> list[Block]:
    live = book.site.media.path if book.site.media is not None else ""
    inside = repository.inside if repository.inside is not None else live
    lines = ['mkdir "$NEW/files"']
    stands = "$NEW/files"
    if repository.kind in ("directory", "rsync"):
        within = f"/{inside.strip('/')}" if repository.kind == "rsync" and repository.inside else ""
        lines = [default("SNAPSHOT", f"{snapshot.path}{within}"), *lines, 'cp -a "$SNAPSHOT/." "$NEW/files/"']
    else:
        lines += _unpacked(repository, snapshot.path.name)
        stands = f"$NEW/files/{inside.strip('/')}"
    taken = f"The snapshot of {snapshot.started_at:%Y-%m-%d %H:%M:%S} UTC ({repository.kind}); for another moment, the "
    told = (f"{taken}one before it and the one after. Then they stand in ", Code(stands), "; production has them in ")
    return [Heading("Users' files"), Paragraph((*told, Code(live), ".")), part("the files", lines)]


def _unpacked(repository: MediaRepository, name: str) -> list[str]:
    """Lines for restic or borg. A file that holds the password is named, a command that prints it is not."""
    place, variable = without_credentials(repository.path), f"{repository.kind.upper()}_PASS"
    if repository.password_file is not None:
        lines = [f"export {variable}COMMAND={quoted('cat ' + quoted(repository.password_file))}"]
    else:
        lines = [f"# the password first: [media] of the site file says how it comes; {variable}COMMAND takes a command"]
    if repository.kind == "restic":
        lines = [line.replace("RESTIC_PASSCOMMAND", "RESTIC_PASSWORD_COMMAND") for line in lines]
        return [*lines, f'restic -r {quoted(place)} --no-lock --no-cache restore {quoted(name)} --target "$NEW/files"']
    return [*lines, 'cd "$NEW/files"', f"borg extract {quoted(f'{place}::{name}')}"]


def _dump(book: Book, copy: LogicalCopy) -> list[Block]:
    user, dump, contents = quoted(book.site.database.user), copy.dump, copy.contents
    connect = f'-h "$NEW/run" -p "$DUMP_PORT" -U {user}'
    lines = [
        default("DUMP", contents),
        default("DUMP_PORT", "5441", "another free port"),
        default("DATABASE", f"{dump.database or 'dump'}-restored"),
        'mkdir -m 0700 "$NEW/dumped"',
        'chown "$AS:" "$NEW/dumped"',
        f'$as "$BIN/initdb" -D "$NEW/dumped" -U {user} -A trust -E UTF8 --locale=C --data-checksums',
        'cat >> "$NEW/dumped/postgresql.conf" <<END',
        "listen_addresses = ''",
        "port = $DUMP_PORT",
        "unix_socket_directories = '$NEW/run'",
        "END",
        '$as "$BIN/pg_ctl" -D "$NEW/dumped" -l "$NEW/run/dumped.log" -w start',
    ]
    if copy.globals is not None:
        lines.append(f'$as "$BIN/psql" -X {connect} -d postgres < {quoted(copy.globals)}')
    lines.append(f'$as "$BIN/createdb" {connect} -T template0 "$DATABASE"')
    if dump.format == "plain":
        read = "zstd -dc" if contents.endswith(".zst") else "gzip -dc" if contents.endswith(".gz") else "cat"
        lines.append(f'{read} "$DUMP" | $as "$BIN/psql" -X {connect} -d "$DATABASE"')
    elif dump.format == "custom":
        lines.append(f'$as "$BIN/pg_restore" {connect} -d "$DATABASE" < "$DUMP"')
    else:
        lines += ['cp -a "$DUMP" "$NEW/dump"', 'chown -R "$AS:" "$NEW/dump"']
        lines.append(f'$as "$BIN/pg_restore" {connect} -d "$DATABASE" "$NEW/dump"')
    at = f"{dump.started_at:%Y-%m-%d %H:%M:%S} UTC"
    told = f"Where no base backup can be read: the dump of {dump.database or 'a database'} from {at} brings back that "
    more = "moment and no other, here into a fresh cluster. That a role is there already is no error to mind."
    return [Heading(f"The dump {dump.id}"), Paragraph(told + more), part("the dump is loaded", lines)]


def _source(source: SourceCopy) -> list[Block]:
    origin = without_credentials(source.origin)
    lines = [default("SOURCE", str(source.path))]
    if source.form == "mirror":  # git reads no repository of another user's
        lines += ['cp -R "$SOURCE" "$NEW/source.git"', 'git clone "$NEW/source.git" "$NEW/source"']
    else:
        lines.append('git clone "$SOURCE" "$NEW/source"')
    told = (f"A {source.form} of ", Code(origin), f", as of {source.stopped_at:%Y-%m-%d %H:%M:%S} UTC.")
    return [Heading("Source code"), Paragraph(told), part("the source code", lines)]


def _image(image: ImageCopy) -> list[Block]:
    lines = [default("IMAGE", str(image.path)), f'echo {quoted(image.sha256)} " $IMAGE" | sha256sum -c']
    if image.form == "packed":
        lines += [
            'mkdir "$NEW/environment"',
            'zstd -dc "$IMAGE" | tar --numeric-owner --xattrs --acls -xpf - -C "$NEW/environment"',
        ]
        what = "The installation folder, packed"
    else:
        lines += ['cp --sparse=always --no-clobber "$IMAGE" "$NEW/"']
        what = "The image of the machine"
    told = (f"{what}, of ", Code(image.origin), f", as of {image.stopped_at:%Y-%m-%d %H:%M:%S} UTC.")
    return [Heading("The environment"), Paragraph(told), part("the environment", lines)]
