"""``python -m engine.run FOLDER [--rollback | --discard]``: the engine of one run."""

import argparse
import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.records.coding import to_json
from engine.records.errors import RepriseError
from engine.records.runs import Operator
from engine.run.runner import EXIT_CODES, Engine, as_run_error
from engine.run.story import Act
from engine.system.operator import present_operator


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m engine.run", description="The engine of one run.")
    parser.add_argument("folder", type=Path)
    act = parser.add_mutually_exclusive_group()
    act.add_argument("--rollback", dest="act", action="store_const", const="rollback", default="apply")
    act.add_argument("--discard", dest="act", action="store_const", const="discard")
    parser.add_argument("--ready", type=int, help="a pipe to say on that it has begun; it then runs in the background")
    given = parser.parse_args(arguments)
    os.umask(0o077)
    operator = present_operator()  # while whoever started us is still our parent
    if given.ready is not None:
        if os.fork():
            os._exit(0)
        os.set_inheritable(given.ready, False)
    return _engine(given.folder.absolute(), given.act, operator, given.ready)


def _engine(folder: Path, act: Act, operator: Operator, pipe: int | None) -> int:
    def say(words: dict[str, Any]) -> None:
        nonlocal pipe
        if pipe is not None:
            try:
                os.write(pipe, to_json(words))
                os.close(pipe)
            except OSError:  # whoever started us is gone; the run goes on
                pass
            pipe = None

    try:
        engine = Engine(folder, operator)
        try:
            engine.cancel_on_signals()
            outcome = engine.carry_out(act, lambda: say({"pid": str(os.getpid())}))
        finally:
            engine.close()
    except Exception as failure:  # a full disk among them: whoever started us is told in our words
        error = as_run_error(failure)
        told = {"message": error.message, "cause": error.cause, "remedy": error.remedy}
        say({name: value for name, value in told.items() if value})
        with suppress(OSError):  # the log may lie on that same disk
            if not isinstance(failure, (RepriseError, OSError)):
                traceback.print_exc()
            print(error.message, error.cause or "", file=sys.stderr, flush=True)
        return failure.exit_code if isinstance(failure, RepriseError) else 1
    return EXIT_CODES.get(outcome, 1)


if __name__ == "__main__":
    sys.exit(main())
