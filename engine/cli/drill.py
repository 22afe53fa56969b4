"""`reprise drill WHAT`: the group of commands of the drills."""

import argparse

from engine.cli import drill_proof
from engine.cli.grouping import What

WHAT = {
    "proof": What(
        "restore the real copies beside production, look through them, throw them away",
        drill_proof.add,
        drill_proof.carry_out,
        ("maybe-target", "yes"),
    ),
}


def carry_out(given: argparse.Namespace) -> int:
    """Do the command of the group. Returns the exit code."""
    return WHAT[given.what].carry_out(given)
