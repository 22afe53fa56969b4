"""What can be typed. argparse, because the start path must stay cheap."""

import argparse
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from engine import __version__
from engine.records.errors import UsageError
from engine.records.lsn import parse_lsn

if TYPE_CHECKING:
    from engine.records.target import RecoveryTarget, TargetKind


class _Parser(argparse.ArgumentParser):
    """Says what is wrong as an error of ours instead of leaving the program."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, remedy=f"see: {self.prog} --help")


def read(words: Sequence[str]) -> argparse.Namespace:
    """Read a command line. Raises UsageError; prints help and leaves on --help."""
    with suppress(UsageError):  # what is wrong is said by the parser that knows everything
        given, left = _of_the_screen().parse_known_args(words, _unsaid())
        if not left:
            return given
    return _parser(words).parse_args(words, _unsaid())


def _unsaid() -> argparse.Namespace:
    """What is not said. Here, because several parsers share these options."""
    return argparse.Namespace(site=None, state=None, json=False, command=None)


def _of_the_screen() -> _Parser:
    """All that goes without a command. Apart, because the parsers of the commands hold a first picture up."""
    parser = _Parser(prog="reprise", parents=[_everywhere()], add_help=False, allow_abbrev=False)
    _screen_options(parser)
    return parser


def read_time(text: str) -> datetime:
    """An ISO 8601 time with a UTC offset or Z. Raises UsageError; the message names ``target-offset``."""
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"--time: {text!r} is not an ISO 8601 time", remedy="a time looks like 2026-11-22T14:03:10+03:00"
        ) from None
    if time.tzinfo is None:
        raise UsageError(
            f"--time: {text!r} has no UTC offset (target-offset)",
            cause="without one it could be read in another zone than you mean",
            remedy=f"add the offset: {text.strip()}+00:00 for UTC, or {text.strip()}Z",
        )
    try:
        time = time.astimezone(UTC)
        for day in (-1, 1):  # it must also be told in the site's time zone
            time + timedelta(days=day)
    except OverflowError:
        raise UsageError(f"--time: {text!r} lies outside the years 1 to 9999") from None
    return time


def target_of(given: argparse.Namespace) -> "RecoveryTarget":
    """The target of a command that takes one. Raises UsageError."""
    from engine.records.target import RecoveryTarget

    kind: TargetKind
    if given.time is not None:
        target = RecoveryTarget("time", time=read_time(given.time))
    elif given.lsn is not None:
        try:
            target = RecoveryTarget("lsn", lsn=parse_lsn(given.lsn))
        except ValueError as error:
            raise UsageError(f"--lsn: {error}") from None
    elif given.xid is not None:
        if not re.fullmatch(r"[0-9]{1,20}", given.xid) or int(given.xid) < 3:
            raise UsageError(f"--xid: {given.xid!r} is not a transaction id", remedy="a number like 8441212")
        target = RecoveryTarget("xid", xid=int(given.xid) & 0xFFFFFFFF)
    elif given.name is not None:
        target = RecoveryTarget("name", name=given.name)
    elif given.dump is not None:
        raise UsageError("--dump goes with plan and restore", remedy="a recovering cluster cannot replay a dump")
    else:
        kind = "immediate" if given.immediate else "latest"
        target = RecoveryTarget(kind)
    if given.exclusive and target.kind not in ("time", "lsn", "xid"):
        raise UsageError("--exclusive goes with --time, --lsn or --xid only")
    return RecoveryTarget(
        target.kind,
        time=target.time,
        lsn=target.lsn,
        xid=target.xid,
        name=target.name,
        exclusive=given.exclusive,
        backup=given.backup,
        timeline=given.timeline,
        accept_gap=given.accept_gap,
    )


def _everywhere() -> _Parser:
    parser = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    parser.add_argument("--site", type=Path, metavar="FILE", help="the site file")
    parser.add_argument("--state", type=Path, metavar="DIR", help="where runs and the WAL index are kept")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser


def _parser(words: Sequence[str]) -> _Parser:
    everywhere = _everywhere()
    parser = _Parser(
        prog="reprise", parents=[everywhere], description="Brings a document system back.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"reprise {__version__}", help="tell it and leave")
    _screen_options(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    def command(name: str, help: str, *parents: _Parser) -> _Parser:
        return commands.add_parser(
            name, help=help, description=help, parents=[everywhere, *parents], allow_abbrev=False
        )

    yes = _Parser(add_help=False)
    yes.add_argument("--yes", action="store_true", help="do it without asking")
    run = _Parser(add_help=False)
    run.add_argument(
        "run", metavar="RUN", help="a run's name, as `reprise runs` shows it, its beginning or end, or 'latest'"
    )
    target, destination, maybe = _target(), _destination(), _target(required=False)

    command("catalog", "what there is: backups, WAL, dumps, media snapshots")
    command("windows", "what can be reached")
    action = _Parser(add_help=False)
    action.add_argument(
        "--action", choices=["finish", "pause"], default="finish", help="at the target (default: finish)"
    )
    command("plan", "steps and checks of a restore; changes nothing", target, destination, action)
    restore = command("restore", "plans and runs", target, destination, action, yes)
    restore.add_argument("--detach", action="store_true", help="return once the run is journalled")
    _backup_commands(command("backup", "take a copy"), [everywhere, yes])
    into = _Parser(add_help=False)
    into.add_argument("--into", type=Path, metavar="DIR", required=True, help="an absent folder (or file)")
    source = command("restore-source", "a clone of a source copy, at a commit or a moment", into)
    source.add_argument("copy", nargs="?", metavar="ID", help="default: the newest")
    at: Any = source.add_mutually_exclusive_group()
    at.add_argument("--commit", metavar="REV", help="a commit, tag or branch")
    at.add_argument("--time", metavar="T", help="the last commit of the main branch before, ISO 8601 with an offset")
    image = command("restore-image", "unpack a copy of the environment", into)
    image.add_argument("copy", nargs="?", metavar="ID", help="default: the newest")
    status = command("status", "whether all is copied and proven as the policy wants; the exit code is Nagios'")
    status.add_argument("--prometheus", type=Path, metavar="FILE", help="write metrics for the node exporter too")
    schedule = command("schedule", "what runs by itself, from [schedule] in the site file", yes)
    schedule.add_argument("act", nargs="?", choices=["show", "install", "remove"], default="show")
    archiving = command("archiving", "the live cluster's WAL on its way into the archive", yes)
    archiving.add_argument(
        "act",
        choices=["set-up", "test", "stream", "adopt"],
        help="adopt: an unfinished segment (.partial) whose server is gone for good",
    )
    way = archiving.add_mutually_exclusive_group()
    way.add_argument("--zstd", action="store_true", help="set-up: the archive command compresses")
    way.add_argument("--stream", action="store_true", help="set-up: what `archiving stream` needs, its slot bounded")
    way.add_argument("--accept-gap", action="store_true", help="stream: begin with what is written now")
    way.add_argument("--apply", action="store_true", help="adopt: write it under the segment's own name")
    archiving.add_argument("--restart", action="store_true", help="set-up: restart the server where that is needed")
    command("push", "send every copy, and all archived WAL, that the second places have not yet")
    fetch = command("fetch", "bring a second place back into a folder, verified by checksum", into)
    fetch.add_argument("address", metavar="ADDRESS", help="ssh://user@host/path")
    verify = command("verify", "read copies to their end and hold them against what they say of themselves")
    verify.add_argument("ids", nargs="*", metavar="ID", help="a copy's id, as `reprise catalog` shows it")
    verify.add_argument("--all", action="store_true", help="every copy, and the archived WAL")
    expire = command("expire", "what the policy lets go: listed, or deleted", yes)
    expire.add_argument("--apply", action="store_true", help="delete it")
    shared = {"target": target, "maybe-target": maybe, "yes": yes}
    of_files, of_drills = command("files", "the users' files"), command("drill", "recovery practised and proven")
    if "files" in words:  # what these commands need is not loaded for others
        from engine.cli.files import WHAT
        from engine.cli.grouping import add_group

        add_group(WHAT, of_files, everywhere, shared)
    if "drill" in words:
        from engine.cli.drill import WHAT as DRILLS
        from engine.cli.grouping import add_group

        add_group(DRILLS, of_drills, everywhere, shared)
    command("runs", "all runs, newest first")
    command("attach", "follow a run", run)
    report = command("report", "a run's report", run)
    report.add_argument("--html", type=Path, metavar="FILE", help="write it as one HTML page into this absent file")
    report.add_argument("--markdown", type=Path, metavar="FILE", help="write it as Markdown into this absent file")
    runbook = command("runbook", "write the page for the safe: how to bring it all back, without this program too")
    runbook.add_argument("--out", type=Path, metavar="FILE", help="an absent file (default: runbook-SITE.md, or .html)")
    runbook.add_argument("--html", action="store_true", help="as one HTML page, for the printer")
    command("finish", "at the gate: open the recovered server for writes", run, yes)
    command("advance", "at the gate: replay on to a later target, and wait again", run, target, yes)
    command("cancel", "stop a run at its next safe point; all is left as it is", run, yes)
    command("skip", "leave out reading every page, or pass over what the check of the files says", run, yes)
    resume = command("resume", "go on with an interrupted or failed run", run, yes)
    resume.add_argument(
        "--accept-checks",
        action="store_true",
        help="although a library is missing or an answer is not true",
    )
    command("rollback", "back to the state before the run", run, yes)
    command("discard", "delete what a run set aside, or its side copy", run, yes)
    command("stop", "stop the server of a side copy", run, yes)
    command("start", "start the server of a side copy", run, yes)
    command("open", "start the application again after a restore in place", run, yes)
    init = command("init", "write a site file from what is found on this machine", yes)
    init.add_argument("--from", dest="copies", type=Path, metavar="PATH", help="from the backups below PATH alone")
    demo = command("demo", "a real cluster with history, to look around and to practise")
    demo.add_argument("--dir", type=Path, metavar="DIR", help="where to build it")
    demo.add_argument("--bin-dir", metavar="DIR", help="the PostgreSQL to build it with (a folder of its programs)")
    demo.add_argument("--reset", action="store_true", help="build it anew")
    demo.add_argument("--headless", action="store_true", help="build it, stop its server, open no screen")
    _screen_options(demo)
    return parser


def _backup_commands(backup: _Parser, parents: list[_Parser]) -> None:
    """`backup WHAT`: one parser for each kind of copy."""
    kinds = backup.add_subparsers(dest="what", metavar="WHAT", required=True, parser_class=_Parser)

    def kind(name: str, help: str) -> _Parser:
        parser = kinds.add_parser(name, help=help, description=help, parents=parents, allow_abbrev=False)
        parser.add_argument("--detach", action="store_true", help="return once the run is journalled")
        return parser

    base = kind("base", "a base backup of the cluster, verified")
    base.add_argument("--incremental", action="store_true", help="against the newest one, where that can be done")
    base.add_argument("--format", choices=["tar", "plain"], default="tar", help="default: tar, compressed")
    dump = kind("dump", "a dump of one database, with its cluster's roles, read back to its end")
    dump.add_argument("--database", metavar="NAME", help="default: the site's own")
    dump.add_argument("--format", choices=["custom", "directory", "plain"], default="custom", help="default: custom")
    source = kind("source", "the git repositories of the site: mirrors brought up to date, or bundles")
    source.add_argument("--path", metavar="PATH", help="only the one with this path in the site file")
    kind("image", "the environment: packed, or registered with its checksum")
    kind("media", "a snapshot of the users' files, with its catalogue")


def _screen_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--read-only", action="store_true", help="the screen does nothing but look")
    parser.add_argument("--ascii", action="store_true", help="the screen sends nothing above 0x7f")
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")


def _target(*, required: bool = True) -> _Parser:
    parser = _Parser(add_help=False)
    group = parser.add_argument_group("target")
    which: Any = group.add_mutually_exclusive_group(required=required)
    which.add_argument("--time", metavar="T", help="ISO 8601 with a UTC offset")
    which.add_argument("--lsn", metavar="L", help="the start of a record")
    which.add_argument("--xid", metavar="X", help="a transaction")
    which.add_argument("--name", metavar="N", help="a restore point")
    which.add_argument("--latest", action="store_true", help="the end of the archived WAL")
    which.add_argument("--dump", metavar="ID", help="the moment of this dump (plan, restore; with --in-place or --as)")
    which.add_argument("--immediate", action="store_true", help="as soon as the backup is consistent")
    group.add_argument("--exclusive", action="store_true", help="stop just before the target")
    group.add_argument("--backup", metavar="ID", help="start from this base backup")
    group.add_argument("--timeline", type=int, metavar="N", help="follow this timeline")
    group.add_argument("--accept-gap", action="store_true", help="--latest: stop at the gap in the WAL")
    return parser


def _destination() -> _Parser:
    parser = _Parser(add_help=False)
    group = parser.add_argument_group("destination")
    where: Any = group.add_mutually_exclusive_group(required=True)
    where.add_argument("--into", type=Path, metavar="DIR", help="a side copy in this absent or empty folder")
    where.add_argument("--as", dest="beside", metavar="NAME", help="with --dump: a new database of this name")
    where.add_argument("--in-place", action="store_true", help="the site's own data directory")
    group.add_argument("--database", metavar="NAME", help="with --dump: another database's place than its own")
    group.add_argument("--port", type=int, metavar="P", help="port of the side copy (default: a free one)")
    group.add_argument(
        "--files",
        action=argparse.BooleanOptionalAction,
        help="the users' files too (default: in place, where the site has references)",
    )
    return parser
