"""The archive command: what PostgreSQL calls for every finished segment (manual, "Setting Up WAL Archiving").

Exit 0 means "it is safe": only when the file is whole, on disk and under its name. The same content already there is
success (the server calls again after a crash); other content is an error, for a clash of two clusters or timelines must
never overwrite anything. The folder must carry our mark: where a mount is away, its empty mount point is not the
archive.
"""

import os
import shlex
from pathlib import Path

from engine.records.errors import RepriseError

SCRIPT_NAME = "archive-wal.sh"
MARK = ".reprise-archive"

SCRIPT = """#!/bin/sh
# Archives one file of WAL: archive-wal.sh FOLDER PATH NAME [zstd]. Made by `reprise archiving set-up`.
# Success means: whole, on disk, under its name. What is there already is never replaced.
set -u
umask 077
LC_ALL=C
export LC_ALL
folder=$1 path=$2 name=$3 how=${4:-plain}

fail() {
    printf 'reprise archive-wal: %s\\n' "$*" >&2
    exit 1
}

case $name in
'' | */* | .*) fail "not the name of a WAL file: $name" ;;
esac
[ -f "$folder/.reprise-archive" ] || fail "$folder is not the archive (is it mounted?)"
[ -r "$path" ] || fail "cannot read $path"

same() { # same FILE: whether an archived file holds what the server has
    case $1 in
    *.zst) zstd -qdc -- "$1" 2>/dev/null | cmp -s -- - "$path" ;;
    *) cmp -s -- "$1" "$path" ;;
    esac
}

rm -f -- "$folder/.draft-$name".* # of one that was killed: the server calls again for the same file

for there in "$folder/$name" "$folder/$name.zst" "$folder/$name.gz" "$folder/$name.lz4"; do
    [ -e "$there" ] || continue
    case $there in
    *.gz | *.lz4) fail "$there is there already, and was not archived by this command" ;;
    esac
    same "$there" || fail "$there is there already with other content: nothing was replaced"
    sync -- "$there" "$folder" 2>/dev/null || sync
    exit 0
done

if [ "$how" = zstd ]; then target=$folder/$name.zst; else target=$folder/$name; fi
draft=$folder/.draft-$name.$$
trap 'rm -f -- "$draft"' EXIT
trap 'exit 1' HUP INT QUIT TERM
if [ "$how" = zstd ]; then
    zstd -qc -- "$path" >"$draft" || fail "cannot write $draft"
    zstd -qdc -- "$draft" 2>/dev/null | cmp -s -- - "$path" || fail "$draft does not unpack to what was packed"
else
    cp -- "$path" "$draft" || fail "cannot write $draft"
    cmp -s -- "$draft" "$path" || fail "$draft is not what was copied"
fi
sync -- "$draft" || fail "cannot put $draft on disk"
# Not mv: of two that archive the same name at once, the second must fail, and replace nothing.
ln -T -- "$draft" "$target" 2>/dev/null || {
    [ -e "$target" ] && fail "$target appeared meanwhile"
    mv -nT -- "$draft" "$target" || fail "cannot rename $draft" # a file system without hard links
    [ -e "$draft" ] && fail "$target appeared meanwhile"
}
rm -f -- "$draft"
trap - EXIT
sync -- "$folder" || fail "cannot put $folder on disk"
exit 0
"""


def archive_command(script: Path, folder: str, *, zstd: bool = False) -> str:
    """The setting ``archive_command``: PostgreSQL replaces %p and %f and hands the rest to a shell."""
    words = [shlex.quote(os.fspath(script)), shlex.quote(folder)]
    return " ".join([*(word.replace("%", "%%") for word in words), '"%p"', '"%f"', *(["zstd"] if zstd else [])])


def is_ours(command: str) -> bool:
    """Whether an archive_command was set by Reprise."""
    try:
        words = shlex.split(command)
    except ValueError:
        return False
    return bool(words) and Path(words[0]).name == SCRIPT_NAME


def write_script(script: Path) -> None:
    """Write the script (0755, in one piece). Raises RepriseError."""
    draft = script.with_name(f".{script.name}.{os.getpid()}")
    try:
        draft.write_text(SCRIPT)
        draft.chmod(0o755)
        draft.replace(script)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise RepriseError(f"the archive command cannot be written to {script}", cause=error.strerror) from None


def mark_archive(folder: Path, owner: tuple[int, int] | None) -> None:
    """Make a folder known to the command as the archive. Raises RepriseError."""
    mark = folder / MARK
    try:
        mark.touch(mode=0o600)
        if owner is not None:
            os.chown(mark, *owner)
    except OSError as error:
        raise RepriseError(f"{folder} cannot be marked as the archive", cause=error.strerror) from None
