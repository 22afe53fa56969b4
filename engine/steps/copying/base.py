"""`take-base`: a base backup by pg_basebackup, into the draft.

Arguments: ``format`` (tar, plain), ``compress`` (pg_basebackup's own word for tar: ``client-zstd:3``, ``gzip:6``; None
for none), ``manifest`` (the parent's backup_manifest, for an incremental one), and how to reach the server: ``host``,
``port``, ``user``. WAL that the backup needs is streamed into it, so that it can be recovered without an archive too.
"""

import re

from engine.postgres.running import run
from engine.records.errors import RunFailed
from engine.steps.copying.drafts import copying_of, grows_at, make_draft, now, record_draft, remove_draft
from engine.steps.protocol import RunningStep
from engine.steps.shared.children import Say, carried

_PROGRAM = "pg_basebackup"
_PROGRESS = re.compile(r"\s*(\d+)/(\d+) kB \(\d+%\)")


def apply(step: RunningStep) -> None:
    copying, args = copying_of(step), step.args
    record_draft(step)
    programs = copying.programs
    if programs is None:
        raise RunFailed("the plan names no PostgreSQL programs", remedy="plan again")
    words = ["-D", str(grows_at(copying)), "-h", args["host"], "-p", str(args["port"]), "-U", args["user"]]
    words += ["--no-password", "--checkpoint=fast", "--wal-method=stream", "--progress", "--verbose"]
    words += [f"--label=reprise {copying.id}", "--manifest-checksums=SHA256", "--no-sync"]
    words += ["--format=tar"] if args["format"] == "tar" else ["--format=plain"]
    words += [f"--compress={args['compress']}"] if args["compress"] else []
    words += [f"--incremental={args['manifest']}"] if args["manifest"] else []

    started = now()

    def work(say: Say) -> None:
        make_draft(copying, _PROGRAM)
        run(programs, _PROGRAM, *words, user=copying.owner, cwd=copying.draft, timeout=None, on_line=say)

    def hear(line: str) -> None:
        if found := _PROGRESS.match(line):
            done, total = (int(number) << 10 for number in found.groups())
            step.progress(min(done, total), total, "bytes", copying.id)
        else:
            step.log(line.strip())

    carried(step, work, hear, on=f"{_PROGRAM}, which writes into {copying.repository}")
    step.fact(interval=[started, now()])


def undo(step: RunningStep) -> None:
    remove_draft(step, _PROGRAM)
