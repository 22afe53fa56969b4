"""What a dump holds, as far as loading it needs to know: how many entries, and what it says of its database itself."""

import os
import re
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from msgspec import Struct, field

from engine.dumps.layout import DumpFormat
from engine.dumps.scripts import AboutDatabase, Setting, read_script
from engine.postgres.running import run
from engine.records.errors import DamagedCopy, RepriseError
from engine.records.survey import OsUser, Programs
from engine.system.users import is_root
from engine.transfer.naming import shown
from engine.transfer.opening import open_compressed

_ENTRY = re.compile(r"\d+; \d+ \d+ ")
_ABOUT_DATABASE = re.compile(r"(\d+;) \d+ \d+ (?:DATABASE |(?:ACL|COMMENT|SECURITY LABEL) - DATABASE )")
_WHAT_COUNTS = re.compile(r"\s*(TEMPLATE|ENCODING|LC_COLLATE|LC_CTYPE|LOCALE|LOCALE_PROVIDER|ICU_LOCALE|ICU_RULES|"
                          r"BUILTIN_LOCALE) = ('(?:[^']|'')*'|\w+)")  # fmt: skip


class Original(Struct, frozen=True):
    """The dumped database itself. ``options``: the part of CREATE DATABASE that says encoding and locale. Each of
    ``statements`` (owner, settings, privileges, comment, in the dump's order) is pieces that the database's quoted name
    joins, as text of ``encoding`` whose bytes are kept as surrogates where they are not UTF-8. ``settings``: the
    parameters that a plain dump sets for its own loading."""

    options: str
    encoding: str
    statements: list[list[str]]
    settings: list[str] = field(default_factory=list)


def count_entries(programs: Programs, dump: Path, user: OsUser) -> int:
    """The entries of an archive's table of contents. Raises DamagedCopy."""
    return len(_entries(programs, dump, user))


def _entries(programs: Programs, dump: Path, user: OsUser, *words: str) -> list[str]:
    lines: list[str] = []
    listing = ["--list", *words, str(dump)]
    try:
        run(programs, "pg_restore", *listing, user=user, cwd=dump.parent, timeout=600, on_line=lines.append)
    except RepriseError as error:
        raise DamagedCopy(f"the dump {shown(dump)} cannot be read", cause=error.cause) from None
    return [line for line in lines if _ENTRY.match(line)]


def read_original(programs: Programs, dump: Path, format: DumpFormat, user: OsUser) -> Original:
    """What the dump says of its database; little where it was taken without --create. A plain dump is read to its
    end for it. Raises DamagedCopy."""
    if format == "plain":
        with open_compressed(dump) as file:
            return _original(read_script(file))
    entries = [
        found[1] for line in _entries(programs, dump, user, "--create") if (found := _ABOUT_DATABASE.match(line))
    ]
    if not entries:
        return _original(iter(()))
    with tempfile.TemporaryDirectory(prefix="reprise-load-") as folder:
        chosen, script = Path(folder) / "list", Path(folder) / "script.sql"
        chosen.write_text("\n".join(entries) + "\n")
        chosen.chmod(0o644)
        if is_root():
            os.chown(folder, user.uid, user.gid)
        words = ["--create", f"--use-list={chosen}", f"--file={script}", str(dump)]
        run(programs, "pg_restore", *words, user=user, cwd=dump.parent, timeout=600)
        with script.open("rb") as file:
            return _original(read_script(file))


def plain_script(dump: Path, unset: Collection[str] = ()) -> Iterator[bytes]:
    """A plain dump without what creates its database, connects to it or is about it, and without what sets one of
    the parameters ``unset``. Raises DamagedCopy."""
    with open_compressed(dump) as file:
        for piece in read_script(file):
            if isinstance(piece, bytes):
                yield piece
            elif isinstance(piece, Setting) and piece.name not in unset:
                yield piece.statement


def _original(script: Iterator[bytes | AboutDatabase | Setting]) -> Original:
    options, encoding = "", "UTF8"
    statements: list[list[str]] = []
    names: set[bytes] = set()
    settings: dict[str, None] = {}
    for piece in script:
        if isinstance(piece, Setting):
            settings[piece.name] = None
        if not isinstance(piece, AboutDatabase):
            continue
        names.add(piece.name.strip(b'"'))
        encoding = piece.encoding
        before, behind = _text(piece.before), _text(piece.behind)
        kind = before.upper()
        if kind.startswith("CREATE"):
            options = behind
        elif not kind.startswith("DROP"):
            session = [] if piece.session is None else [[_text(piece.session)]]
            statements += [*session, [before, behind], *([["RESET SESSION AUTHORIZATION"]] if session else [])]
    if len(names) > 1:
        raise DamagedCopy("the dump is about several databases", cause="only one database can be loaded")
    counting = _WHAT_COUNTS.findall(options.lstrip().removeprefix("WITH"))
    named = " ".join(f"{name} = {value}" for name, value in counting if name != "TEMPLATE")
    return Original(f"WITH TEMPLATE = template0 {named}".rstrip(), encoding, statements, list(settings))


def _text(piece: bytes) -> str:
    return piece.decode("utf-8", "surrogateescape")
