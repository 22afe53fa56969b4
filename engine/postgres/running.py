"""One of PostgreSQL's programs, run to its end."""

from collections.abc import Callable, Mapping
from pathlib import Path

from engine.records.errors import RepriseError
from engine.records.survey import OsUser, Programs
from engine.system.programs import run_program


def run(
    programs: Programs,
    program: str,
    *arguments: str | Path,
    user: OsUser | None = None,
    cwd: str | Path = "/",
    timeout: float | None = 60,
    env: Mapping[str, str] | None = None,
    input: str | bytes | None = None,
    on_line: Callable[[str], None] | None = None,
) -> str:
    """As ``run_program``, for ``program`` of ``programs``. Raises RepriseError where it is not among them."""
    executable = Path(programs.bin_dir) / program
    if not executable.is_file():
        raise RepriseError(
            f"{program} is not among the PostgreSQL {programs.version} programs in {programs.bin_dir}",
            remedy=f"install PostgreSQL {programs.version}'s server and client packages, or set the site's bin_dir",
        )
    return run_program([str(executable), *map(str, arguments)], user, cwd, timeout, env, input, on_line)
