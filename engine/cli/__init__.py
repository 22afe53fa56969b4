"""The command line: arguments in, acts, documents out.

arguments   what can be typed
commands    one function per command: acts in, a document and an exit code out
documents   records as the JSON of CONTRACT.md
telling     the same for people, as plain lines
init        the dialogue that writes a site file
"""

import os
import sys
from collections.abc import Callable, Sequence

from engine.records.errors import RepriseError


def main(argv: Sequence[str] | None = None, *, open_screen: Callable[..., int]) -> int:
    """The program `reprise`. Returns the exit code of CONTRACT.md; never lets a traceback out.

    ``open_screen(desk, ascii=…, mouse=…)`` is handed in, because the engine knows no screen.
    """
    from engine.cli import arguments, commands, documents

    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words
    try:
        return commands.carry_out(arguments.read(words), open_screen)
    except RepriseError as error:
        if as_json:
            documents.write(documents.error_document(error))
        _complain(error)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output is gone; nothing is left to tell it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except EOFError:
        print("reprise: the input ended before an answer came; nothing was done", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("reprise: stopped looking; a run that was started goes on", file=sys.stderr)
        return 130
    except Exception as error:  # a defect of ours: say so in one line, keep the traceback for the report
        if os.environ.get("REPRISE_DEBUG"):
            raise
        defect = RepriseError(
            f"a defect in Reprise: {type(error).__name__}: {error}",
            remedy="nothing was changed by this command line; set REPRISE_DEBUG=1 to see where, and report it",
        )
        if as_json:
            documents.write(documents.error_document(defect))
        _complain(defect)
        return 1


def _complain(error: RepriseError) -> None:
    print(f"reprise: {error.message}", file=sys.stderr)
    if error.cause:
        print(f"  because: {error.cause}", file=sys.stderr)
    if error.remedy:
        print(f"  instead: {error.remedy}", file=sys.stderr)
