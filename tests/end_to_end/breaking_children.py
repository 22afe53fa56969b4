"""The real engine, killed by its own child: at the n-th change of the file system that a child of a chosen step makes,
the child kills the engine (SIGKILL), and itself.

``python -m tests.end_to_end.breaking_children STEP NUMBER ACT …`` is ``python -m engine.run …``.
"""

import os
import re
import signal
import sys
from typing import Any

from engine.run import __main__ as program
from engine.run.journal import Journal

PROGRAM = [sys.executable, "-m", "tests.end_to_end.breaking_children"]

_CHANGES = re.compile(r"os\.(rename|mkdir|rmdir|remove|chmod|chown|symlink|link|truncate|utime)|subprocess\.Popen")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def main() -> int:
    step, number, act = sys.argv.pop(1), int(sys.argv.pop(1)), sys.argv.pop(1)
    kind, engine = {"apply": "begin", "rollback": "undo-begin"}[act], os.getpid()
    append = Journal.append
    inside = False
    count = 0

    def appending(journal: Journal, what: str, content: Any = None) -> None:
        nonlocal inside, engine
        append(journal, what, content)
        if what in ("begin", "undo-begin", "end", "undone"):
            inside = what == kind and content["step"] == step
            engine = os.getpid()

    def heard(name: str, about: tuple[Any, ...]) -> None:
        nonlocal count
        if not inside or os.getpid() == engine:
            return
        if _CHANGES.fullmatch(name) or (name == "open" and isinstance(about[2], int) and about[2] & _WRITES):
            count += 1
            if count == number:
                os.kill(engine, signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)

    Journal.append = appending  # type: ignore[method-assign]
    sys.addaudithook(heard)
    return program.main()


if __name__ == "__main__":
    sys.exit(main())
