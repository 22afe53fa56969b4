"""`reprise files WHAT`: the group of commands for the users' files."""

import argparse

from engine.cli import files_browse, files_check, files_find, files_lost, files_restore
from engine.cli.grouping import What

WHAT = {
    "check": What("hold them against what the database refers to", files_check.add, files_check.carry_out),
    "restore": What(
        "bring them back as they were", files_restore.add, files_restore.carry_out, ("maybe-target", "yes")
    ),
    "lost": What("what a run could not bring back, with the rows", files_lost.add, files_lost.carry_out),
    "find": What("which files the live database's rows with these words name", files_find.add, files_find.carry_out),
    "list": What("what a snapshot holds, folder by folder or by name", files_browse.add_list, files_browse.list_files),
    "diff": What("what differs between two snapshots, or live", files_browse.add_diff, files_browse.compare_files),
}


def carry_out(given: argparse.Namespace) -> int:
    """Do the command of the group. Returns the exit code."""
    return WHAT[given.what].carry_out(given)
