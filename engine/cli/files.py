"""`reprise files WHAT`: the group of commands for the users' files. Each has its options and its function in a file of
its own, and a line in the table here."""

import argparse
from collections.abc import Callable, Mapping
from typing import NamedTuple

from engine.cli import files_browse, files_check


class What(NamedTuple):
    """One command: ``add`` gives its parser the options, ``carry_out`` does it and returns the exit code. ``shared``
    names the sets of options that it has in common with other commands (``target``, ``yes``)."""

    help: str
    add: Callable[[argparse.ArgumentParser], None]
    carry_out: Callable[[argparse.Namespace], int]
    shared: tuple[str, ...] = ()


_WHAT = {
    "check": What("hold them against what the database refers to", files_check.add, files_check.carry_out),
    "list": What("what a snapshot holds, folder by folder or by name", files_browse.add_list, files_browse.list_files),
    "diff": What("what differs between two snapshots, or live", files_browse.add_diff, files_browse.compare_files),
}


def add(
    group: argparse.ArgumentParser,
    everywhere: argparse.ArgumentParser,
    shared: Mapping[str, argparse.ArgumentParser],
) -> None:
    """One parser for each command. ``everywhere`` holds the options that all commands have, ``shared`` the sets of
    options by name."""
    kinds = group.add_subparsers(dest="what", metavar="WHAT", required=True)
    for name, what in _WHAT.items():
        parents = [everywhere, *(shared[each] for each in what.shared)]
        what.add(kinds.add_parser(name, help=what.help, description=what.help, parents=parents, allow_abbrev=False))


def carry_out(given: argparse.Namespace) -> int:
    """Do the command of the group. Returns the exit code."""
    return _WHAT[given.what].carry_out(given)
