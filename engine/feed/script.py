"""What the recovering server calls for every file, in plain sh, without Python: what lies ready is moved by the
`restore_command` itself (a shell and a mv, 2 ms); for all else it calls a script, which asks the feed.

In standby mode exit 1 means "not now": the server looks into pg_wal and asks again. 126 and above would stop it with
FATAL (src/backend/access/transam/xlogarchive.c), so the script never returns that; a full disk or a vanished spool is
"not now" too. It blocks up to a second where nothing changes: answered at once, the server would ask 50 times a second.
"""

import os
import shlex
from pathlib import Path

from engine.feed.spool import ASKED, HISTORY, READY

NAME = "restore.sh"

_SCRIPT = """#!/bin/sh
# Made by Reprise for one run: hands the recovering server what does not lie ready when it asks.
# $1: the file's name, $2: where the server wants it.
spool={spool}
file=$1 into=$2

case $file in
*.history)
    if [ -f "$spool/{history}/$file" ]; then
        cp -- "$spool/{history}/$file" "$into" && exit 0
        sleep 1
        exit 1
    fi ;;
esac

take() {{ [ -f "$spool/{ready}/$file" ] && mv -f -- "$spool/{ready}/$file" "$into"; }}

if ! : > "$spool/{asked}/$file"; then # the disk is full, or the spool is away
    sleep 1
    exit 1
fi
tries=0
while [ "$tries" -lt 24 ]; do # about a second
    if [ "$tries" -lt 5 ]; then nap=0.01; else nap=0.05; fi
    sleep "$nap" 2>/dev/null || sleep 1
    take && rm -f -- "$spool/{asked}/$file" && exit 0
    if [ ! -e "$spool/{asked}/$file" ]; then # answered: either it is ready by now or there is none
        take && exit 0
        [ -f "$spool/{history}/$file" ] && cp -- "$spool/{history}/$file" "$into" && exit 0
        exit 1
    fi
    tries=$((tries + 1))
done
exit 1
"""


def write_script(spool: Path, uid: int, gid: int) -> Path:
    """Write the script for one spool, readable for the server's user. Raises OSError."""
    path = spool / NAME
    text = _SCRIPT.format(spool=shlex.quote(str(spool)), ready=READY, asked=ASKED, history=HISTORY)
    draft = path.with_name(NAME + ".new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        os.fchown(handle, uid, gid)
    draft.replace(path)
    return path


def restore_command(spool: Path) -> str:
    """The `restore_command` for a spool: PostgreSQL's placeholders in it, every other % doubled. Where the script
    itself is away it answers "not now" after a second."""
    quoted = shlex.quote(str(spool)).replace("%", "%%")
    ready, script = f"{quoted}/{READY}/%f", f"{quoted}/{NAME}"
    return (
        f"[ -f {ready} ] && mv -f -- {ready} %p && exit 0; [ -r {script} ] && exec /bin/sh {script} %f %p; "
        "sleep 1; exit 1"
    )


def belongs_to(spool: Path, command_line: bytes) -> bool:
    """Whether a process with this command line (as /proc has it) is one that a `restore_command` started."""
    return any(os.fsencode(name) in command_line for name in (str(spool), shlex.quote(str(spool))))
