"""The dialogue that writes a site file. Each question comes with what was found; Enter takes it."""

import argparse
import sys
from shlex import quote

import platformdirs
from msgspec.structs import replace

from engine import acts
from engine.cli import documents
from engine.cli.printing import ask, say
from engine.records.errors import UsageError
from engine.site import (
    Database,
    DatabaseRepository,
    Identity,
    Media,
    MediaRepository,
    Site,
    is_there,
    mistakes,
    read_site,
    write_site,
)


def write_site_file(given: argparse.Namespace) -> int:
    """`reprise init`. With --yes, or without a terminal and --yes, what was found is taken as it is."""
    path = given.site or platformdirs.user_config_path("reprise") / "site.toml"
    if is_there(path):
        raise UsageError(f"{path} exists already", remedy="name another file with --site")
    asks = not given.yes
    if asks and (given.json or not (sys.stdin.isatty() and sys.stdout.isatty())):
        raise UsageError(
            "init asks questions, and there is no terminal to ask on", remedy="add --yes to take what is found"
        )
    found = acts.propose_site(given.copies)
    for source in found.sources:
        say(f"found: {source}", err=not asks)
    site = _ask_all(found) if asks else _take(found)
    write_site(site, path)
    read_site(path)  # what was written must be right; the error names the key
    if not asks and found.media is not None:
        say(f"left out: [media], though snapshots lie in {found.media}: where the files belong is not known", err=True)
    if given.json:
        documents.write({"site": str(path)})
    else:
        say(f"wrote {path}; look at what it reaches with: reprise --site {quote(str(path))} windows")
    return 0


def _take(found: acts.Proposal) -> Site:
    missing = [
        name
        for name, value in (("data_dir", found.data_dir), ("base_backups", found.base_backups), ("wal", found.wal))
        if value is None
    ]
    if missing:
        raise UsageError(
            f"not found: {', '.join(missing)}",
            remedy="name the folder of the copies with --from PATH, or answer the questions in a terminal",
        )
    return _site(found)


def _ask_all(found: acts.Proposal) -> Site:
    """Asked again, with the answers as what stands in brackets, until nothing is wrong."""
    say("Enter takes what stands in brackets; Ctrl+C leaves and writes nothing.")
    while True:
        found = replace(
            found,
            name=_ask("name of the site", found.name),
            timezone=_ask("time zone in which times are shown", found.timezone),
            data_dir=_ask("the cluster's data directory", found.data_dir),
            base_backups=_ask("folder with one folder per base backup", found.base_backups),
            wal=_ask("folder with the archived WAL", found.wal),
            live=_ask("folder of the users' files (- for none)", found.live or "-"),
        )
        if found.live != "-":
            found = replace(found, media=_ask("folder with one folder per snapshot of them", found.media))
        site = _site(found)
        wrong = next(mistakes(site), None)
        if wrong is None:
            return site
        say(f"{wrong[0]}: {wrong[1]}" + (f"; right would be: {wrong[2]}" if wrong[2] else ""))


def _ask(question: str, proposed: str | None) -> str:
    while True:
        answer = ask(f"{question}{f' [{proposed}]' if proposed else ''}: ") or proposed
        if answer:
            return answer


def _site(found: acts.Proposal) -> Site:
    database = Database(
        data_dir=found.data_dir or "",
        repository=[DatabaseRepository("directory", found.base_backups or "", found.wal or "", dumps=found.dumps)],
        config_file=found.config_file,
        hba_file=found.hba_file,
        ident_file=found.ident_file,
        host=found.host,
        port=found.port,
        run_as=found.run_as,
    )
    media = None
    if found.live not in (None, "-"):
        media = Media(found.live or "", [MediaRepository("directory", found.media or "")])
    return Site(Identity(found.name, found.timezone), database, media)
