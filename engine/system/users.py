"""Operating-system users: who runs PostgreSQL's programs. They refuse to run as root (src/backend/main/main.c)."""

import grp
import os
import pwd
import stat
from collections.abc import Collection, Iterable
from pathlib import Path

from engine.records.errors import RepriseError
from engine.records.survey import OsUser

# Every Linux has them with a passwd entry; initdb does not run under a uid without one.
_EVERYWHERE = ("nobody", "daemon", "bin")

_LINGERING = Path("/var/lib/systemd/linger")


def os_user(name_or_uid: str | int) -> OsUser:
    """A user by name or uid. Raises RepriseError where the machine knows none."""
    try:
        entry = pwd.getpwuid(name_or_uid) if isinstance(name_or_uid, int) else pwd.getpwnam(name_or_uid)
    except KeyError:
        what = f"uid {name_or_uid}" if isinstance(name_or_uid, int) else f"operating-system user {name_or_uid!r}"
        raise RepriseError(
            f"this machine has no {what}",
            cause="PostgreSQL's programs need a user with an entry in the password database",
            remedy="name an existing user as run_as under [database] in the site file, or create this one",
        ) from None
    return OsUser(entry.pw_name, entry.pw_uid, entry.pw_gid)


def current_user() -> OsUser:
    """Who we are (the effective user)."""
    return os_user(os.geteuid())


def is_root() -> bool:
    return os.geteuid() == 0


def owner_of(path: str | Path) -> OsUser | None:
    """Who owns a file or folder; None where it does not exist or its owner has no name."""
    try:
        return os_user(Path(path).stat().st_uid)
    except (OSError, RepriseError):
        return None


def default_run_as(
    named: str | None = None, data_dir: str | Path | None = None, backups: Iterable[str | Path] = ()
) -> OsUser:
    """The user that PostgreSQL's programs run as: the site's ``run_as``, else the owner of the data directory, else
    the owner of the backups, else the machine's `postgres`. Who is not root can only be himself.

    Raises RepriseError where root finds nobody, or where ``named`` is neither us nor reachable for us.
    """
    if not is_root():
        ourselves = current_user()
        if named is not None and named != ourselves.name:
            raise RepriseError(
                f"only root can run PostgreSQL's programs as {named!r}, and this is {ourselves.name!r}",
                remedy=f"start reprise as root or as {named}, for example: sudo -u {named} reprise …",
            )
        return ourselves
    if named is not None:
        user = os_user(named)
        if user.uid == 0:
            raise RepriseError(
                "run_as is root, and PostgreSQL's programs refuse to run as root",
                remedy="name the owner of the data directory as run_as under [database] in the site file",
            )
        return user
    for place in (data_dir, *backups):
        owner = owner_of(place) if place is not None else None
        if owner is not None and owner.uid != 0:
            return owner
    try:
        return os_user("postgres")
    except RepriseError:
        raise RepriseError(
            "no ordinary user found to run PostgreSQL's programs as",
            cause="data directory and backups belong to root or do not exist, and there is no user postgres",
            remedy="name one as run_as under [database] in the site file",
        ) from None


def everyday_user() -> OsUser:
    """An ordinary user that every Linux has, for the lab and the tests; ourselves where we are not root."""
    if not is_root():
        return current_user()
    for name in _EVERYWHERE:
        try:
            return os_user(name)
        except RepriseError:
            continue
    raise RepriseError(
        "no ordinary user found on this machine",
        cause=f"looked for {', '.join(_EVERYWHERE)}: PostgreSQL's programs refuse to run as root",
        remedy="start as an ordinary user",
    )


def lingers(user: OsUser) -> bool:
    """Whether systemd keeps this user's own service manager, and all that runs below it, beyond the last logout
    (loginctl(1), enable-linger; the file is logind's own note of it, src/login/logind-user.c)."""
    return (_LINGERING / user.name).exists()


def may_reach(user: OsUser, path: str | Path) -> bool:
    """Whether a user can enter every folder down to ``path`` and read (a folder: also enter) what stands there. From
    the mode bits alone; access lists and mandatory access control are not seen."""
    real = Path(path).resolve()
    groups = frozenset(os.getgrouplist(user.name, user.gid))
    try:
        folders_open = all(_allowed(user, groups, folder.stat(), 0o1) for folder in real.parents)
        status = real.stat()
        return folders_open and _allowed(user, groups, status, 0o5 if stat.S_ISDIR(status.st_mode) else 0o4)
    except OSError:
        return False


def closed_to(user: OsUser, folder: str | Path) -> Path | None:
    """The first folder on the way down to this one, itself among them, that a user may not enter; None: he may enter
    all. From the mode bits alone. Raises OSError."""
    real = Path(folder).resolve()
    groups = frozenset(os.getgrouplist(user.name, user.gid))
    way = [*reversed(real.parents), real]
    return next((each for each in way if not _allowed(user, groups, each.stat(), 0o1)), None)


def may_write(user: OsUser, path: str | Path) -> bool:
    """Whether a user can reach a folder and make files in it (mode bits alone)."""
    groups = frozenset(os.getgrouplist(user.name, user.gid))
    try:
        return may_reach(user, path) and _allowed(user, groups, Path(path).resolve().stat(), 0o3)
    except OSError:
        return False


def who_else_writes(folder: str | Path, users: Collection[OsUser]) -> str | None:
    """Who may make and rename files in a folder beside its owner and these users: ``everybody``, or ``the group …``;
    None where nobody may. A group is theirs where it is the primary one of one of them, or has no other members; root
    is one of them. A folder above in which everybody may rename (no sticky bit) counts too. Raises OSError."""
    real = Path(folder).resolve()
    status = real.stat()
    above = [parent.stat().st_mode for parent in real.parents]
    if status.st_mode & stat.S_IWOTH or any(mode & stat.S_IWOTH and not mode & stat.S_ISVTX for mode in above):
        return "everybody"
    if not status.st_mode & stat.S_IWGRP or status.st_gid in (0, *(user.gid for user in users)):
        return None
    known = pwd.getpwall()
    trusted = {each.pw_name for each in known if each.pw_uid in (0, status.st_uid, *(user.uid for user in users))}
    try:
        group = grp.getgrgid(status.st_gid)
    except KeyError:
        return f"the group {status.st_gid}"
    members = {*group.gr_mem, *(each.pw_name for each in known if each.pw_gid == status.st_gid)}
    return f"the group {group.gr_name}" if members - trusted else None


def _allowed(user: OsUser, groups: frozenset[int], status: os.stat_result, wanted: int) -> bool:
    if user.uid == 0:
        return True
    shift = 6 if status.st_uid == user.uid else 3 if status.st_gid in groups else 0
    return (status.st_mode >> shift) & wanted == wanted


def give(path: Path, user: OsUser) -> None:
    """Make ``user`` the owner of a folder and of all in it (links themselves, not what they point to). Nothing where
    we are not root: then all is ours anyway."""
    if not is_root():
        return
    os.chown(path, user.uid, user.gid, follow_symlinks=False)
    for place, folders, files in os.walk(path):
        for entry in (*folders, *files):
            os.chown(Path(place) / entry, user.uid, user.gid, follow_symlinks=False)
