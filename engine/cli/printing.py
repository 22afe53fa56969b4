"""The edge at which lines for people leave, and questions to them: nothing else in the command line prints.

Whatever stands in a line may be another's: a database's names, what a program said. To a terminal, often root's, goes
no character of it that could do anything there.
"""

import sys

from engine.records.printable import printable


def say(text: str = "", *, err: bool = False, flush: bool = False) -> None:
    """A line on stdout (``err``: on stderr). Line breaks in it are another's: what follows one is indented, so that no
    text passes for a line of ours."""
    first, *more = text.expandtabs().split("\n")
    deeper = " " * (len(first) - len(first.lstrip()) + 4)
    lines = [printable(first), *(deeper + printable(line) for line in more)]
    print("\n".join(lines), file=sys.stderr if err else sys.stdout, flush=flush)


def say_lines(text: str) -> None:
    """A text of several lines that is ours as a whole."""
    for line in text.split("\n"):
        say(line)


def say_passing(text: str, *, last: bool = False) -> None:
    """Progress on stderr: the next one is written over it, unless it is the ``last``."""
    print(f"\r{printable(text)}", end="\n" if last else "", file=sys.stderr)


def ask(question: str) -> str:
    """The answer, without what surrounds it."""
    return input(printable(question)).strip()
