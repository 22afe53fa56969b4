"""The copies of a git repository: a mirror that is brought up to date, or bundles, one for each time.

A mirror only ever gains: refs that are gone in the original stay, and what a forced push replaced stays in the reflogs,
which never expire (git-reflog(1)); nothing is collected as garbage. ``<mirror>/reprise.json`` and ``<id>.bundle.json``
beside a bundle say when it was taken and from where.
"""

import re
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from engine.records.coding import to_json
from engine.records.copies import Problem, SourceCopy
from engine.records.errors import DamagedCopy, RepriseError
from engine.records.survey import OsUser
from engine.source.git import git
from engine.system.users import current_user
from engine.transfer.naming import shown
from engine.transfer.noting import write_new
from engine.transfer.removing import remove_tree

NOTE = "reprise.json"  # in a mirror
BUNDLE, BUNDLE_NOTE = ".bundle", ".bundle.json"
_DETACHED = "refs/reprise/HEAD"  # in a mirror: a HEAD that is on no branch; its reflog keeps those before it
_MAX_NOTE = 64 << 10
_COMMIT = re.compile(r"[0-9a-f]{40,64}\Z")
_NEVER = (
    ("core.logAllRefUpdates", "always"), ("gc.reflogExpire", "never"), ("gc.reflogExpireUnreachable", "never"),
    ("gc.pruneExpire", "never"), ("gc.auto", "0"),
)  # fmt: skip

Hear = Callable[[str], None]


class Note(msgspec.Struct, frozen=True):
    """When a copy was taken, from where, and what its HEAD was."""

    origin: str
    started_at: datetime
    stopped_at: datetime
    head: str | None = None


def make_mirror(origin: str, mirror: Path, user: OsUser, hear: Hear) -> None:
    """Clone into an absent folder. Raises RepriseError, Unreachable."""
    git(
        "clone", "--mirror", "--no-hardlinks", "--progress", "--", origin, mirror, user=user, timeout=None, on_line=hear
    )
    for name, value in _NEVER:
        git("config", name, value, user=user, cwd=mirror)


def update_mirror(origin: str, mirror: Path, user: OsUser, hear: Hear) -> None:
    """Fetch all that is new; nothing is pruned, whatever git's configuration says. A fetch that is killed leaves
    every ref as it was, or as it is now. HEAD follows the original's, which fetch leaves alone: to another branch, or
    to a commit that is on none."""
    branch, detached = _head_there(origin, user)
    refs = ["+refs/*:refs/*", *([f"+HEAD:{_DETACHED}"] if detached else [])]
    git("fetch", "--progress", "--no-write-fetch-head", "--no-prune", "--no-prune-tags", "--", origin, *refs,
        user=user, cwd=mirror, timeout=None, on_line=hear)  # fmt: skip
    if branch is not None:
        git("symbolic-ref", "HEAD", branch, user=user, cwd=mirror)
    elif detached:
        git("update-ref", "--no-deref", "HEAD", _DETACHED, user=user, cwd=mirror)


def _head_there(origin: str, user: OsUser) -> tuple[str | None, bool]:
    """The branch that the original's HEAD names, and whether it names a commit instead; neither where it names a branch
    that has none yet."""
    told = git("ls-remote", "--symref", "--", origin, "HEAD", user=user).splitlines()
    named = [line.split()[1] for line in told if line.startswith("ref: refs/heads/")]
    return (named[0], False) if named else (None, any(_COMMIT.match(line.split()[0]) for line in told))


def uncommitted(origin: str, user: OsUser) -> int:
    """How many files of a working copy are changed or new and in no commit, so that no copy will have them; 0 also for
    what is no working copy on this machine. Raises Unreachable."""
    try:
        return len(git("status", "--porcelain", user=user, cwd=origin).splitlines()) if Path(origin).is_dir() else 0
    except RepriseError:  # a bare one
        return 0


def check_repository(repository: Path, user: OsUser, hear: Hear) -> None:
    """Every object that a ref or reflog leads to is there and right. Raises DamagedCopy."""
    try:
        git("fsck", "--full", "--no-dangling", "--no-progress",
            user=user, cwd=repository, timeout=None, on_line=hear)  # fmt: skip
    except RepriseError as error:
        raise DamagedCopy(f"the source copy {shown(repository)} is damaged", cause=error.cause) from None


def make_bundle(repository: Path, bundle: Path, user: OsUser, hear: Hear) -> None:
    """All refs of a repository in one file."""
    git("bundle", "create", "--progress", bundle, "--all", user=user, cwd=repository, timeout=None, on_line=hear)


def check_bundle(bundle: Path, scratch: Path, user: OsUser, hear: Hear) -> None:
    """A bundle is whole: cloned into the absent folder ``scratch``, and every object checked. Raises DamagedCopy."""
    try:
        git("clone", "--mirror", "--", bundle, scratch, user=user, timeout=None, on_line=hear)
    except RepriseError as error:
        raise DamagedCopy(f"the bundle {shown(bundle)} is damaged", cause=error.cause) from None
    check_repository(scratch, user, hear)


def head_of(repository: Path, user: OsUser) -> str | None:
    """The commit that HEAD names; None where there is none yet."""
    try:
        told = git("rev-parse", "--verify", "--quiet", "HEAD", user=user, cwd=repository).strip()
    except RepriseError:
        return None
    return told if _COMMIT.match(told) else None


def write_note(path: Path, note: Note) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    write_new(draft, to_json(note, indent=1))
    draft.replace(path)


def read_note(path: Path) -> Note:
    """Raises OSError, DamagedCopy."""
    with path.open("rb") as file:
        data = file.read(_MAX_NOTE)
    try:
        note = msgspec.json.decode(data, type=Note)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise DamagedCopy(f"{shown(path)} cannot be read", cause=str(error)) from None
    if note.started_at.tzinfo is None or note.stopped_at.tzinfo is None:
        raise DamagedCopy(f"{shown(path)} cannot be read", cause="its times have no UTC offset")
    return note


def list_mirror(origin: str, mirror: Path) -> tuple[list[SourceCopy], list[Problem]]:
    """The one copy that a mirror is; none where it was never made."""
    if not mirror.is_dir():
        return [], []
    return _read(mirror.name, origin, mirror, mirror / NOTE, "mirror")


def list_bundles(origin: str, folder: Path) -> tuple[list[SourceCopy], list[Problem]]:
    """The bundles of this origin in a folder, oldest first. Raises OSError where it cannot be listed."""
    copies: list[SourceCopy] = []
    problems: list[Problem] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.name.endswith(BUNDLE):
            continue
        found, told = _read(path.name.removesuffix(BUNDLE), origin, path, path.with_name(path.name + ".json"), "bundle")
        copies += [each for each in found if each.origin == origin]
        problems += told
    return sorted(copies, key=lambda each: (each.started_at, each.id)), problems


def _read(id: str, origin: str, path: Path, note: Path, form: str) -> tuple[list[SourceCopy], list[Problem]]:
    try:
        told = read_note(note)
    except FileNotFoundError:
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        told = Note(origin, changed, changed)  # somebody else's: all that is known is its time
    except OSError as error:
        return [], [Problem(str(note), f"cannot be read: {error.strerror}")]
    except DamagedCopy as error:
        return [], [Problem(str(note), f"{error.message}: {error.cause}")]
    started, stopped = told.started_at.astimezone(UTC), told.stopped_at.astimezone(UTC)
    return [SourceCopy(id, form, path, told.origin, started, stopped, told.head)], []  # type: ignore[arg-type]


def clone_at(copy: SourceCopy, into: Path, *, revision: str | None = None, at: datetime | None = None) -> str:
    """Clone a copy into an absent folder and check a commit out: ``revision``, or the last one of the main branch
    before ``at``, else the main branch itself. Returns the commit. Raises RepriseError; then ``into`` is not there."""
    user, draft = current_user(), into.with_name(f".{into.name}.cloning")
    remove_tree(draft)
    with tempfile.NamedTemporaryFile("w", suffix=".gitconfig") as trusting:
        trusting.write(f"[safe]\n\tdirectory = {copy.path}\n")  # our own copy, though its owner may be another
        trusting.flush()
        git("clone", "--no-hardlinks", "--", copy.path, draft,
            user=user, timeout=None, env={"GIT_CONFIG_GLOBAL": trusting.name})  # fmt: skip
    wanted = ["--verify", "--end-of-options", f"{revision or 'HEAD'}^{{commit}}"]
    try:
        if at is not None:
            commit = git("rev-list", "-1", f"--before={at.isoformat()}", "HEAD", user=user, cwd=draft).strip()
        else:
            commit = git("rev-parse", *wanted, user=user, cwd=draft).strip()
        if not _COMMIT.match(commit):
            raise RepriseError(
                f"the copy {copy.id} has no commit before {at}" if at else f"the copy {copy.id} has no commit yet",
                remedy="name another moment, or a commit",
            )
        if revision is not None or at is not None:
            git("checkout", "--quiet", "--detach", commit, user=user, cwd=draft, timeout=None)
    except RepriseError:
        remove_tree(draft)
        raise
    draft.rename(into)
    return commit
