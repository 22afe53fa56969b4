"""`reprise files list` and `reprise files diff`: what can be typed, the documents, and the lines for people."""

import argparse

from engine.records.errors import UsageError


def add_list(parser: argparse.ArgumentParser) -> None:
    """The options of `files list`."""
    parser.add_argument("snapshot", metavar="SNAPSHOT", help="a snapshot's id, as `reprise catalog` shows it")
    parser.add_argument("path", nargs="?", default="", metavar="PATH", help="a folder or file in it (default: the top)")
    parser.add_argument("--search", metavar="TEXT", help="all below PATH whose name has TEXT in it, in any case")


def add_diff(parser: argparse.ArgumentParser) -> None:
    """The options of `files diff`."""
    parser.add_argument("a", metavar="A", help="a snapshot's id, or 'live'")
    parser.add_argument("b", metavar="B", help="the one it is compared with: a snapshot's id, or 'live'")


def list_files(given: argparse.Namespace) -> int:
    raise UsageError("not yet")


def compare_files(given: argparse.Namespace) -> int:
    raise UsageError("not yet")
