"""What is wrong in a site file: the key, what is wrong there, and what would be right."""

import difflib
import os
import re
from collections.abc import Iterator
from typing import get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec

from engine.site import tables
from engine.site.durations import FORM, read_duration
from engine.site.nesting import clashes
from engine.site.rates import FORM as RATE_FORM
from engine.site.rates import read_rate
from engine.site.tables import MediaRepository, Site

Mistake = tuple[str, str, str]

_PLAIN_WORDS = {"str": "text in quotes", "int": "a whole number", "array": "a list", "object": "a table"}
_CHOICES = {
    "database.repository.kind": 'kind = "directory"',
    "media.repository.kind": 'kind = "directory", "rsync", "restic" or "borg"',
    "proof.files": 'files = "check" or "skip"',
}
_SLOWEST = 10**6  # bytes per second
_LONGEST_NAME = 100  # bytes: it is a part of file names, which have 255 at most
_APART = "a folder of its own, apart from the other one"
_SCHEDULE = re.compile(r"[A-Za-z0-9*:,./~ -]{1,200}", re.ASCII)


def explain(error: str, root: type[msgspec.Struct] = Site) -> tuple[str, str, str | None]:
    """msgspec's one-line error as key, what is wrong, what would be right; ``root`` is what was read."""
    what, _, where = error.partition(" - at `$")
    table = where.rstrip("`").lstrip(".")
    plain_table = re.sub(r"\[[^]]*\]", "", table)
    known = _keys_of(plain_table, root)
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what):
        near = difflib.get_close_matches(unknown[1], known, 1)
        right = f"meant {near[0]}?" if near else f"known keys here: {', '.join(known)}" if known else "leave it out"
        return _key(table, unknown[1]), "unknown key", right
    if missing := re.fullmatch(r"Object missing required field `(.*)`", what):
        where = f"[{plain_table}]" if plain_table else "the file"
        return _key(table, missing[1]), "missing", f"add {missing[1]} to {where}"
    if wrong := re.fullmatch(r"Expected `(.*)`, got `(.*)`", what):
        right_words, got = (_PLAIN_WORDS.get(word.split(" ")[0], word) for word in wrong.groups())
        return table or "the file", f"is {got}", f"it must be {right_words}"
    if value := re.fullmatch(r"Invalid enum value (.*)", what):
        return table, f"unknown value {value[1]}", _CHOICES.get(plain_table)
    return table or "the file", what, None


def _keys_of(table: str, root: type[msgspec.Struct]) -> list[str]:
    """The keys that a table knows, by its dotted name."""
    kind: type[msgspec.Struct] | None = root
    for name in filter(None, table.split(".")):
        found = kind.__annotations__.get(name) if kind is not None else None
        inside = [each for each in (found, *get_args(found)) if isinstance(each, type)]
        kind = next((each for each in inside if issubclass(each, tables.Table)), None)
    return list(kind.__struct_encode_fields__) if kind is not None else []


def _key(table: str, name: str) -> str:
    return f"{table}.{name}" if table else name


def mistakes(site: Site) -> Iterator[Mistake]:
    """What is typed right and still wrong."""
    yield from _identity(site)
    yield from _database(site)
    yield from _sources(site)
    yield from _environment(site)
    yield from _media(site)
    yield from _proof(site)
    yield from _rules(site)
    for key, path in _paths(site):
        if path is not None and (not path.startswith("/") or "\0" in path or "\n" in path):
            yield key, f"{path!r} is not an absolute path", "a path that starts with /"
        elif path is not None and not _is_text(path):
            yield key, f"{os.fsencode(path)!r} is not UTF-8, and a site file is", "a link to it with another name"
    for key, second in _seconds(site):
        if second is not None and not _is_place(second):
            yield key, f"{second!r} is no place on another server", "ssh://user@host/path or ssh://user@host:port/path"
    for clash in clashes(site):
        yield (
            clash.inner.key,
            f"{clash.inner.path} is, or lies in, {clash.outer.path}, which is {clash.outer.key}",
            _APART,
        )


def _is_text(path: str) -> bool:
    """Whether a file in UTF-8 can hold a path: its odd bytes are lone surrogates (os.fsdecode)."""
    try:
        return bool(path.encode())
    except UnicodeEncodeError:
        return False


def _identity(site: Site) -> Iterator[Mistake]:
    if not re.fullmatch(r"[\w][\w.-]*", site.name):
        yield "site.name", f"{site.name!r} cannot be part of a file name", "letters, digits, '-', '_', '.'"
    elif len(site.name.encode()) > _LONGEST_NAME:
        yield "site.name", f"is too long: {len(site.name.encode())} bytes", f"at most {_LONGEST_NAME} bytes"
    try:
        ZoneInfo(site.site.timezone)
    except (ValueError, OSError, KeyError):
        right = 'a name like "Europe/Moscow" or "UTC"'
        yield "site.timezone", f"{site.site.timezone!r} is not a time zone", right


def _database(site: Site) -> Iterator[Mistake]:
    if not 1 <= site.database.port <= 65535:
        yield "database.port", f"{site.database.port} is not a port", "a number from 1 to 65535"
    if not site.database.repository:
        right = "at least one [[database.repository]] with kind, base_backups, wal"
        yield "database.repository", "no repository", right


def _sources(site: Site) -> Iterator[Mistake]:
    for number, source in enumerate(site.source):
        if (source.mirror is None) == (source.bundles is None):
            wrong = "both mirror and bundles" if source.mirror else "neither mirror nor bundles"
            yield f"source[{number}]", wrong, 'one of: mirror = "/backup/source/docs.git", bundles = "/backup/source"'
        if not source.path or source.path.startswith("-") or not source.path.isprintable():
            yield f"source[{number}].path", f"{source.path!r} is nothing that git can fetch", "a path or a URL"
        elif _has_password(source.path):
            right = (
                "the URL without it, and the password in git's credential helper; or an ssh key: ssh://git@host/path"
            )
            yield f"source[{number}].path", "its URL holds a password, which everybody could read", right


def _has_password(url: str) -> bool:
    """Whether a URL carries a secret: a password, or over http a user name alone, which is where tokens stand."""
    scheme, found, rest = url.partition("://")
    login, at, _ = rest.split("/", 1)[0].rpartition("@")
    return bool(found and at) and (":" in login or scheme.lower() in ("http", "https"))


def _media(site: Site) -> Iterator[Mistake]:
    media = site.media
    if media is None:
        return
    for number, repository in enumerate(media.repository):
        for key, wrong, right in _media_repository(repository):
            yield f"media.repository[{number}]" + (f".{key}" if key else ""), wrong, right
    if media.references is not None:
        query = media.references.strip().rstrip(";")
        if not re.match(r"(select|with|table|values)\b", query, re.IGNORECASE) or ";" in query or "\0" in query:
            right = "a single SELECT without ';': SELECT path, size, sha256 FROM attachments"
            yield "media.references", "is not one query", right
    if media.strip_prefix is not None and media.references is None:
        yield "media.strip_prefix", "means nothing without references", "references, or no strip_prefix"
    if media.strip_prefix is not None and not (media.strip_prefix and media.strip_prefix.isprintable()):
        yield "media.strip_prefix", f"{media.strip_prefix!r} stands in front of no path", 'such as "/uploads/"'


def _media_repository(repository: MediaRepository) -> Iterator[Mistake]:
    """What is wrong in one repository of users' files, by key."""
    foreign = repository.kind in ("restic", "borg")
    if not foreign:
        for key in ("password_command", "password_file", "program"):
            if getattr(repository, key) is not None:
                yield key, f"means nothing for kind {repository.kind}", "for kinds restic and borg only"
    else:
        if repository.password_command is not None and repository.password_file is not None:
            yield "", "both password_command and password_file", "one of them"
        if repository.kind == "restic" and repository.password_command is None and repository.password_file is None:
            right = 'password_file = "/etc/reprise/restic.password", or password_command'
            yield "", "neither password_command nor password_file", right
        if not repository.path or repository.path.startswith("-") or not repository.path.isprintable():
            yield "path", f"{repository.path!r} is no repository", f"what {repository.kind} takes: a folder, or a URL"
        elif _has_password(repository.path):
            yield "path", "it holds a password, which everybody could read", _WITHOUT_PASSWORD[repository.kind]
        if repository.program is not None and (repository.program.startswith("-") or "\0" in repository.program):
            yield "program", f"{repository.program!r} is no program", f'such as "/usr/local/bin/{repository.kind}"'
    if repository.second is not None and repository.kind != "directory":
        yield "second", f"means nothing for kind {repository.kind}", "for kind directory only: others are only read"
    inside = repository.inside
    if inside is not None and (
        repository.kind == "directory" or ".." in inside.split("/") or not inside.isprintable() or not inside
    ):
        wrong = "means nothing for kind directory" if repository.kind == "directory" else f"{inside!r} leads elsewhere"
        yield "inside", wrong, "the media folder's place in a snapshot, for kinds rsync, restic and borg"


_WITHOUT_PASSWORD = {
    "restic": "the URL without it, and RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD in the environment",
    "borg": "the URL without it, and an ssh key",
}


def _environment(site: Site) -> Iterator[Mistake]:
    environment = site.environment
    if environment is not None and (environment.path is None) == (environment.image is None):
        wrong = "both path and image" if environment.path else "neither path nor image"
        yield "environment", wrong, "path (a folder that is packed) or image (a VM image that is registered)"


def _proof(site: Site) -> Iterator[Mistake]:
    if not 0 <= site.proof.nice <= 19:
        right = "a number from 0 (as all others) to 19 (only when nobody else wants the processor)"
        yield "proof.nice", f"{site.proof.nice} would not spare production", right
    try:
        rate = read_rate("1GB/s" if site.proof.bandwidth is None else site.proof.bandwidth)
    except ValueError:
        yield "proof.bandwidth", f"{site.proof.bandwidth!r} is no bandwidth", RATE_FORM
    else:
        if rate < _SLOWEST:
            yield "proof.bandwidth", f"with {site.proof.bandwidth!r} no proof would come to its end", "1MB/s or more"


def _rules(site: Site) -> Iterator[Mistake]:
    for table in ("policy", "objectives"):
        for name, duration in msgspec.structs.asdict(getattr(site, table)).items():
            try:
                read_duration("1s" if duration is None else duration)
            except ValueError:
                yield f"{table}.{name}", f"{duration!r} is no duration", FORM
    for name, rule in msgspec.structs.asdict(site.retention).items():
        for word, count in msgspec.structs.asdict(rule).items() if rule is not None else ():
            if count is not None and count < 0:
                yield f"retention.{name}.{word}", f"{count} copies cannot be kept", "a number from 0 on"
        if rule is not None and not any(msgspec.structs.asdict(rule).values()):
            yield f"retention.{name}", "keeps nothing", "at least one number above 0, or no rule at all"
    for name, when in msgspec.structs.asdict(site.schedule).items():
        if when is not None and not _SCHEDULE.fullmatch(when):
            yield f"schedule.{name}", f"{when!r} is no calendar time", '"*-*-* 02:00", "hourly" or "0 2 * * *"'


def _paths(site: Site) -> Iterator[tuple[str, str | None]]:
    """Every key that names a path of this machine."""
    for name in ("data_dir", "bin_dir", "config_file", "hba_file", "ident_file"):
        yield f"database.{name}", getattr(site.database, name)
    for number, repository in enumerate(site.database.repository):
        for name in ("base_backups", "wal", "dumps"):
            yield f"database.repository[{number}].{name}", getattr(repository, name)
    if site.media is not None:
        yield "media.path", site.media.path
        for number, media in enumerate(site.media.repository):
            if media.kind in ("directory", "rsync"):
                yield f"media.repository[{number}].path", media.path
            yield f"media.repository[{number}].password_file", media.password_file
    for number, source in enumerate(site.source):
        yield f"source[{number}].mirror", source.mirror
        yield f"source[{number}].bundles", source.bundles
    yield "proof.into", site.proof.into
    if site.environment is not None:
        for name in ("store", "path", "image"):
            yield f"environment.{name}", getattr(site.environment, name)


def _seconds(site: Site) -> Iterator[tuple[str, str | None]]:
    """Every key that names a place on another server."""
    for number, repository in enumerate(site.database.repository):
        yield f"database.repository[{number}].second", repository.second
    for number, media in enumerate(site.media.repository if site.media else []):
        yield f"media.repository[{number}].second", media.second
    for number, source in enumerate(site.source):
        yield f"source[{number}].second", source.second
    if site.environment is not None:
        yield "environment.second", site.environment.second


def _is_place(text: str) -> bool:
    """ssh://[user@]host[:port]/path, of characters that neither ssh nor rsync takes for anything else."""
    try:
        found = urlsplit(text)
        port = found.port
    except ValueError:
        return False
    parts = (found.username or "u", found.hostname or "", found.path)
    return (
        found.scheme == "ssh"
        and bool(found.hostname)
        and found.path.startswith("/")
        and len(found.path) > 1
        and (port is None or port > 0)
        and not (found.query or found.fragment or found.password)
        and not any(part.startswith("-") for part in parts)
        and re.fullmatch(r"[A-Za-z0-9_.:/@%+,=\[\]-]+", text) is not None
    )
