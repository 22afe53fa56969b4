"""The dialogue that writes a site file. Each question comes with what was found; Enter takes it."""

import argparse
import sys

import platformdirs

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
    read_site,
)


def write_site_file(given: argparse.Namespace) -> int:
    """`reprise init`. With --yes, or without a terminal and --yes, what was found is taken as it is."""
    path = given.site or platformdirs.user_config_path("reprise") / "site.toml"
    if path.exists():
        raise UsageError(f"{path} exists already", remedy="name another file with --site")
    asks = not given.yes
    if asks and (given.json or not (sys.stdin.isatty() and sys.stdout.isatty())):
        raise UsageError(
            "init asks questions, and there is no terminal to ask on", remedy="add --yes to take what is found"
        )
    found = acts.propose_site(given.copies)
    if asks:
        for source in found.sources:
            say(f"found: {source}")
    site = _ask_all(found) if asks else _take(found)
    acts.save_site(site, path)
    read_site(path)  # what was written must be right; the error names the key
    if given.json:
        documents.write({"site": str(path)})
    else:
        say(f"wrote {path}; look at what it reaches with: reprise --site {path} windows")
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
    return _site(found, found.name, found.timezone, found.data_dir or "", found.base_backups or "", found.wal or "")


def _ask_all(found: acts.Proposal) -> Site:
    say("Enter takes what stands in brackets; Ctrl+C leaves and writes nothing.")
    name = _ask("name of the site", found.name)
    zone = _ask("time zone in which times are shown", found.timezone)
    data_dir = _ask("the cluster's data directory", found.data_dir)
    base_backups = _ask("folder with one folder per base backup", found.base_backups)
    wal = _ask("folder with the archived WAL", found.wal)
    media = _ask("folder of the users' files (- for none)", "-")
    snapshots = _ask("folder with one folder per snapshot of them", found.media) if media != "-" else None
    site = _site(found, name, zone, data_dir, base_backups, wal)
    if snapshots is None:
        return site
    return Site(site.site, site.database, Media(media, [MediaRepository("directory", snapshots)]))


def _ask(question: str, proposed: str | None) -> str:
    while True:
        answer = ask(f"{question}{f' [{proposed}]' if proposed else ''}: ") or proposed
        if answer:
            return answer


def _site(found: acts.Proposal, name: str, zone: str, data_dir: str, base_backups: str, wal: str) -> Site:
    database = Database(
        data_dir=data_dir,
        repository=[DatabaseRepository("directory", base_backups, wal)],
        config_file=found.config_file,
        hba_file=found.hba_file,
        ident_file=found.ident_file,
        host=found.host,
        port=found.port,
        run_as=found.run_as,
    )
    return Site(Identity(name, zone), database)
