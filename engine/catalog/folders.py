"""One folder of a base-backups folder: what it is, and what its files say. Nothing is written, no link leads away."""

import os
import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from engine.catalog.base_tar import expect_end, scan_base_tar
from engine.catalog.facts import CONTROL, LABEL, SMALL_FILES, TABLESPACE_MAP, Facts, ManifestFacts, Memory, identity
from engine.catalog.files import read_small
from engine.formats.backup_label import read_tablespace_map
from engine.formats.manifest import Manifest, read_manifest
from engine.records.errors import DamagedCopy
from engine.transfer.contents import tablespace_of
from engine.transfer.naming import shown

Kind = Literal["plain", "tar", "tablespace", "empty", "foreign"]

MANIFEST = "backup_manifest"
UNFINISHED_MANIFEST = "backup_manifest.tmp"  # pg_basebackup renames it when everything is there
MANIFEST_LIMIT = 1 << 30
PASSING_LIMIT = 64 << 20  # compressed bytes read of a base.tar in passing

TAR = re.compile(r"(base|pg_wal|\d+)\.tar(\.gz|\.lz4|\.zst)?\Z", re.ASCII)
_VERSION_FOLDER = re.compile(r"PG_\d+_\d+\Z", re.ASCII)
_NEEDED = ("PG_VERSION", "base", "global", "pg_xact")
_CHANGED_BY_ITS_MAKER = {"postgresql.auto.conf", "standby.signal", "recovery.signal"}  # pg_basebackup -R


def kind_of(names: set[str]) -> Kind:
    """What a folder is, by the names in it."""
    if not names:
        return "empty"
    if any(TAR.match(name) or re.match(r"base\.tar\b", name) for name in names):
        return "tar"
    if names & {"PG_VERSION", LABEL, MANIFEST, UNFINISHED_MANIFEST} or {"base", "global"} <= names:
        return "plain"
    if all(_VERSION_FOLDER.match(name) for name in names):
        return "tablespace"
    return "foreign"


def read_in_passing(folder: Path, kind: Kind, memory: Memory, alive: Callable[[], None]) -> Facts:
    """As ``read_folder``, but only the beginning of a large compressed tar."""
    return read_folder(folder, kind, memory, alive, PASSING_LIMIT)


def read_folder(folder: Path, kind: Kind, memory: Memory, alive: Callable[[], None], limit: int | None = None) -> Facts:
    """The facts of a plain or tar backup, from memory where its files are unchanged. Raises OSError only where the
    folder itself cannot be read; damage is in the facts. ``limit``: bytes of a compressed base.tar, None all."""
    with os.scandir(folder) as entries:
        found = {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
    watched = list(found.items())
    if kind == "plain":
        for name in (CONTROL, "base", "global", "pg_tblspc"):
            try:
                watched.append((name, (folder / name).lstat()))
            except OSError:
                continue
    key = identity(folder, watched)
    facts = memory.recall(key)
    if facts is not None and (facts.complete or facts.reason is not None or limit is not None):
        return facts
    facts = Facts(folder=str(folder))
    if UNFINISHED_MANIFEST in found and MANIFEST not in found:
        facts.fail("backup-incomplete", "the backup never finished: backup_manifest.tmp was not renamed")
    manifest = _read_manifest(folder, facts) if MANIFEST in found else None
    if kind == "tar":
        _read_tar(folder, found, manifest, facts, limit, alive)
    else:
        _read_plain(folder, found, manifest, facts, alive)
    memory.keep(key, facts)
    return facts


def _read_manifest(folder: Path, facts: Facts) -> Manifest | None:
    try:
        manifest = read_manifest(read_small(folder / MANIFEST, MANIFEST_LIMIT))
    except DamagedCopy as error:
        cut_off = "cut off" in error.message
        facts.fail("backup-incomplete" if cut_off else "backup-damaged", _said(error))
        return None
    except OSError as error:
        facts.unreadable("backup_manifest", error)
        return None
    end = manifest.end()
    times = [int(at.timestamp()) for at in {file.modified: file.mtime for file in manifest.files}.values() if at]
    label = next((file.mtime for file in manifest.files if file.path == LABEL), None)
    facts.files_size_bytes = manifest.size()
    facts.space_bytes = _of_tablespaces((file.path, file.size) for file in manifest.files)
    facts.manifest = ManifestFacts(
        files_size_bytes=manifest.size(),
        end_lsn=end.end_lsn if end else None,
        system_identifier=manifest.system_identifier,
        label_mtime=int(label.timestamp()) if label else None,
        newest_mtime=max(times, default=None),
    )
    return manifest


def _read_tar(
    folder: Path,
    found: dict[str, os.stat_result],
    manifest: Manifest | None,
    facts: Facts,
    limit: int | None,
    alive: Callable[[], None],
) -> None:
    facts.size_bytes = sum(entry.st_size for entry in found.values() if stat.S_ISREG(entry.st_mode))
    stems: dict[str, str] = {}
    for name in sorted(found):
        if (matched := TAR.match(name)) is None:
            if re.match(r"(base|pg_wal|\d+)\.tar\b", name):
                facts.fail(
                    "build-features", f"{shown(name)} is packed in a way that is not supported (gz, lz4, zst are)"
                )
        elif matched[1] in stems:
            facts.fail(
                "backup-damaged", f"{shown(name)} stands beside {stems[matched[1]]}: which one is right is unknown"
            )
        else:
            stems[matched[1]] = name
    if "base" not in stems:
        facts.fail("backup-incomplete", "there is no base.tar")
        facts.complete = True
        return
    try:
        scan_base_tar(folder / stems["base"], facts, limit, alive)
        for name in stems.values():
            if name.endswith(".tar"):
                expect_end(folder / name)
    except DamagedCopy as error:
        facts.complete = True
        facts.fail("backup-incomplete", _said(error))
    except OSError as error:
        facts.unreadable(f"{stems['base']}", error)
    spaces_size = sum(found[name].st_size for stem, name in stems.items() if stem.isdigit())
    if manifest is not None:
        facts.files_size_bytes = manifest.size()
    elif facts.files_size_bytes is not None and spaces_size:
        facts.files_size_bytes = None if facts.compression else facts.files_size_bytes + spaces_size
    if manifest is None and not facts.compression:
        facts.space_bytes = {int(stem): found[name].st_size for stem, name in stems.items() if stem.isdigit()}
    if LABEL not in facts.files and facts.reason is None:
        facts.fail("backup-label", f"{stems['base']} holds no backup_label: without it a restore is silently wrong")
    try:
        spaces = read_tablespace_map(facts.text(TABLESPACE_MAP) or "")
    except DamagedCopy as error:
        facts.fail("backup-damaged", _said(error))
        return
    facts.tablespaces = [(space.oid, space.location) for space in spaces]
    for space in spaces:
        if str(space.oid) not in stems:
            facts.fail("backup-incomplete", f"{space.oid}.tar of the tablespace {shown(space.location)} is missing")
    if not set(stems) - {"base", "pg_wal"} <= {str(space.oid) for space in spaces}:
        facts.notes.append("there are tar files of tablespaces that tablespace_map does not name")


def _read_plain(
    folder: Path,
    found: dict[str, os.stat_result],
    manifest: Manifest | None,
    facts: Facts,
    alive: Callable[[], None],
) -> None:
    facts.complete = True
    for name in SMALL_FILES:
        try:
            facts.files[name] = read_small(folder / name)
            facts.mtimes[name] = int((folder / name).stat().st_mtime)
        except FileNotFoundError:
            continue
        except DamagedCopy as error:
            facts.fail("backup-damaged", _said(error))
        except OSError as error:
            facts.unreadable(name, error)
    if "postmaster.pid" in found or (f"{LABEL}.old" in found and LABEL not in found):
        facts.fail("backup-label", "a server was started in this folder: it is a data directory, no backup any more")
    elif LABEL not in facts.files:
        facts.fail(
            "backup-label",
            "backup_label is missing: it was removed, or the backup never finished; without it a restore is "
            "silently wrong",
        )
    if missing := [name for name in (*_NEEDED, CONTROL) if name not in found and not (folder / name).exists()]:
        facts.fail("backup-incomplete", f"{', '.join(missing)} missing: the backup never finished, or is half copied")
    facts.tablespaces = _links(folder, facts)
    sizes, facts.size_bytes = _sizes(folder, facts, alive)
    if manifest is None:
        facts.files_size_bytes = facts.size_bytes
        facts.space_bytes = _of_tablespaces(sizes.items())
    else:
        _compare(manifest, sizes, facts)


def _links(folder: Path, facts: Facts) -> list[tuple[int, str]]:
    """The tablespaces of a plain backup: links in pg_tblspc to where pg_basebackup put them."""
    spaces: list[tuple[int, str]] = []
    try:
        with os.scandir(folder / "pg_tblspc") as entries:
            links = sorted((entry.name, entry.is_symlink()) for entry in entries)
    except OSError:
        return spaces
    for name, is_link in links:
        if not (name.isascii() and name.isdigit() and len(name) <= 10):
            continue
        link = folder / "pg_tblspc" / name
        location = str(link.readlink()) if is_link else f"pg_tblspc/{name}"
        spaces.append((int(name), location))
        if not link.is_dir():
            facts.fail("tablespaces", f"tablespace {name}: its contents are not at {shown(location)}")
        elif is_link and not link.resolve().is_relative_to(folder.parent.resolve()):
            facts.notes.append(f"tablespace {name} lies outside the repository, at {shown(location)}")
    return spaces


def _of_tablespaces(files: Iterable[tuple[str, int]]) -> dict[int, int]:
    """The bytes of each tablespace's files, by its OID."""
    sizes: dict[int, int] = {}
    for path, size in files:
        if (found := tablespace_of(path)) is not None:
            sizes[found[0]] = sizes.get(found[0], 0) + size
    return sizes


def _sizes(folder: Path, facts: Facts, alive: Callable[[], None]) -> tuple[dict[str, int], int]:
    """Every file's size by its path below the folder; of links only those of tablespaces are followed, once."""
    sizes: dict[str, int] = {}
    todo = [""]
    while todo:
        below = todo.pop()
        alive()
        try:
            with os.scandir(folder / below) as entries:
                for entry in entries:
                    path = below + entry.name
                    if entry.is_dir(follow_symlinks=False) or (below == "pg_tblspc/" and entry.is_dir()):
                        todo.append(path + "/")
                    elif entry.is_file(follow_symlinks=False):
                        sizes[path] = entry.stat(follow_symlinks=False).st_size
        except OSError as error:
            facts.unreadable(f"{shown(below or '.')}", error)
    return sizes, sum(sizes.values())


def _compare(manifest: Manifest, sizes: dict[str, int], facts: Facts) -> None:
    missing = [file.path for file in manifest.files if file.path not in sizes]
    if missing:
        facts.fail(
            "backup-incomplete",
            f"{len(missing)} of {len(manifest.files)} files are missing, {shown(missing[0])} for one",
        )
    for file in manifest.files:
        if sizes.get(file.path, file.size) != file.size and file.path not in _CHANGED_BY_ITS_MAKER:
            facts.fail(
                "backup-damaged",
                f"{shown(file.path)} has {sizes[file.path]} bytes, the manifest says {file.size}",
            )
            return


def _said(error: DamagedCopy) -> str:
    return f"{error.message} ({error.cause})" if error.cause else error.message
