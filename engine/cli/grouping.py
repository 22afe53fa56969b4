"""A group of commands, `reprise GROUP WHAT`: each has its options and its function in a file of its own, and a line in
its group's table."""

import argparse
from collections.abc import Callable, Mapping
from typing import NamedTuple


class What(NamedTuple):
    """One command: ``add`` gives its parser the options, ``carry_out`` does it and returns the exit code. ``shared``
    names the sets of options that it has in common with other commands (``target``, ``yes``)."""

    help: str
    add: Callable[[argparse.ArgumentParser], None]
    carry_out: Callable[[argparse.Namespace], int]
    shared: tuple[str, ...] = ()


def add_group(
    table: Mapping[str, What],
    group: argparse.ArgumentParser,
    everywhere: argparse.ArgumentParser,
    shared: Mapping[str, argparse.ArgumentParser],
) -> None:
    """One parser for each command. ``everywhere`` holds the options that all commands have, ``shared`` the sets of
    options by name."""
    kinds = group.add_subparsers(dest="what", metavar="WHAT", required=True)
    for name, what in table.items():
        parents = [everywhere, *(shared[each] for each in what.shared)]
        what.add(kinds.add_parser(name, help=what.help, description=what.help, parents=parents, allow_abbrev=False))
