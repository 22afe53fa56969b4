"""The command line: arguments in, acts, documents out.

arguments     what can be typed
opening       the screen on a site; nothing else is imported for it
commands      which function does a command: acts in, a document and an exit code out
recovering      what brings something back: restores, and what is said to their runs
copies          copies taken, sent, verified, watched, expired; and what does that by itself
following     a run that a command starts: confirmed, followed to its end
grouping      a group of commands, each in a file of its own:
drill           those of the drills: drill_lab the guided ones, drill_proof the proof drills
files           those of the users' files: files_browse lists and differences, files_check them against the database,
                files_restore brought back, files_lost what could not be; files_findings: one by one;
                files_find by words in the database's rows
documents     records as the JSON of CONTRACT.md
telling       the same for people, as plain lines
progress      how far something is, told while it goes on
keeping       what is said of copies that are kept, both ways: schedule, archiving, proofs, expiry
catalog       what copies there are, both ways
drills        guided drills, both ways
monitoring    the status, for people, Nagios and Prometheus
printing      the edge at which lines leave, and what is asked: nothing of others' does anything to the terminal
reporting     what is written down for others: reports, the runbook
init          the dialogue that writes a site file
"""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from engine.cli.printing import say
from engine.records.errors import RepriseError, UsageError

if TYPE_CHECKING:
    from argparse import Namespace

STOPPED_LOOKING = "stopped looking; a run that was started goes on (reprise runs)"


def main(argv: Sequence[str] | None = None, *, open_screen: Callable[..., int]) -> int:
    """The program `reprise`. Returns the exit code of CONTRACT.md; never lets a traceback out.

    ``open_screen(desk, ascii=…, mouse=…)`` is handed in, because the engine knows no screen.
    """
    from engine.cli import arguments

    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _carry_out(arguments.read(words), open_screen)
        if sys.stdout is not None:
            sys.stdout.flush()  # a reader that is gone is noticed here, not when Python leaves
        return code
    except RepriseError as error:
        return _fail(error, words)
    except BrokenPipeError:  # the reader of our output is gone; nothing is left to tell it
        _silence()
        return 1
    except EOFError:
        return _fail(UsageError("the input ended before an answer came; nothing was done"), words)
    except KeyboardInterrupt:
        return _fail(_StoppedLooking(STOPPED_LOOKING), words)
    except Exception as error:  # a defect of ours: say so in one line, keep the traceback for the report
        if os.environ.get("REPRISE_DEBUG"):
            raise
        remedy = "see whether it started a run: reprise runs; set REPRISE_DEBUG=1 to see where it was, and report it"
        return _fail(RepriseError(f"a defect in Reprise: {type(error).__name__}: {error}", remedy=remedy), words)


def _carry_out(given: "Namespace", open_screen: Callable[..., int]) -> int:
    if given.command is None:
        from engine.cli.opening import open_on

        return open_on(given.site, given, open_screen)
    from engine.cli import commands

    return commands.carry_out(given, open_screen)


class _StoppedLooking(RepriseError):
    """Ctrl+C. The exit code is a shell's for SIGINT."""

    exit_code = 130


def _fail(error: RepriseError, words: Sequence[str]) -> int:
    """Say on stderr, and where a document was asked for on stdout, what went wrong. Returns the exit code."""
    from engine.cli import documents

    try:
        if "--json" in words:
            documents.write(documents.error_document(error, restoring="restore" in words))
    except (OSError, ValueError, AttributeError):  # stdout is closed, full, or nobody reads it
        _silence()
    with suppress(OSError):
        say(f"reprise: {error.message}", err=True)
        if error.cause:
            say(f"  because: {error.cause}", err=True)
        if error.remedy:
            say(f"  instead: {error.remedy}", err=True)
    return error.exit_code


def _silence() -> None:
    """Let what is still to be written to stdout go nowhere; else Python complains of it when it leaves."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
