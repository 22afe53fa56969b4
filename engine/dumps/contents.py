"""What a dump holds, as far as loading it needs to know: how many entries, and how its database was created."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from engine.dumps.layout import DumpFormat
from engine.postgres.running import run
from engine.records.errors import DamagedCopy, RepriseError
from engine.records.survey import OsUser, Programs
from engine.transfer.naming import shown
from engine.transfer.opening import open_compressed

_ENTRY = re.compile(r"\d+; \d+ \d+ ")
_CREATE = re.compile(r"^CREATE DATABASE .*? (WITH .*?);$", re.MULTILINE | re.DOTALL)
_CONNECT = b"\\connect "
_HEAD = 1 << 20  # bytes of a plain dump in which its database is created
_WHAT_COUNTS = re.compile(r"\s*(TEMPLATE|ENCODING|LC_COLLATE|LC_CTYPE|LOCALE|LOCALE_PROVIDER|ICU_LOCALE|ICU_RULES|"
                          r"BUILTIN_LOCALE) = ('(?:[^']|'')*'|\w+)")  # fmt: skip


def count_entries(programs: Programs, dump: Path, user: OsUser) -> int:
    """The entries of an archive's table of contents. Raises DamagedCopy."""
    return len(_entries(programs, dump, user))


def _entries(programs: Programs, dump: Path, user: OsUser) -> list[str]:
    lines: list[str] = []
    try:
        run(programs, "pg_restore", "--list", dump, user=user, cwd=dump.parent, timeout=600, on_line=lines.append)
    except RepriseError as error:
        raise DamagedCopy(f"the dump {shown(dump)} cannot be read", cause=error.cause) from None
    return [line for line in lines if _ENTRY.match(line)]


def creation_options(programs: Programs, dump: Path, format: DumpFormat, user: OsUser) -> str:
    """The part of CREATE DATABASE that says encoding and locale, ``WITH TEMPLATE = template0 …``; without them where
    the dump does not tell. Raises DamagedCopy."""
    if format == "plain":
        with open_compressed(dump) as file:
            text = file.read(_HEAD).decode("utf-8", "replace")
    else:
        wanted = [line for line in _entries(programs, dump, user) if re.match(r"\d+; \d+ \d+ DATABASE ", line)]
        if not wanted:
            return "WITH TEMPLATE = template0"
        with tempfile.NamedTemporaryFile("w", suffix=".list") as chosen:
            chosen.write("\n".join(wanted) + "\n")
            chosen.flush()
            Path(chosen.name).chmod(0o644)
            words = ["--create", f"--use-list={chosen.name}", "--file=-", str(dump)]
            text = run(programs, "pg_restore", *words, user=user, cwd=dump.parent, timeout=600)
    found = _CREATE.search(text)
    options = _WHAT_COUNTS.findall(found[1][len("WITH") :]) if found else []
    named = " ".join(f"{name} = {value}" for name, value in options if name != "TEMPLATE")
    return f"WITH TEMPLATE = template0 {named}".rstrip()


def plain_script(dump: Path) -> Iterator[bytes]:
    """A plain dump without the lines that create its database and connect to it: it is loaded into another one."""
    with open_compressed(dump) as file:
        head: list[bytes] = []
        for line in file:
            head.append(line)
            if line.startswith(_CONNECT) or len(head) > 200:
                break
        if not head or not head[-1].startswith(_CONNECT):  # taken without --create
            yield from head
        while piece := file.read(1 << 20):
            yield piece
