"""The document system's own software: an installation folder with its settings, and in it the source code, in git."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.records.survey import OsUser
from engine.source.git import git
from engine.system.users import give

_VERSIONS = (
    (90, "First version", "def greeting() -> str:\n    return 'Documents'\n"),
    (30, "Attachments", "def greeting() -> str:\n    return 'Documents and attachments'\n"),
    (2, "A friendlier greeting", "def greeting() -> str:\n    return 'Good morning: documents and attachments'\n"),
)  # days ago, what the commit says, app.py


def install(folder: Path, source: Path, owner: OsUser) -> None:
    """Settings and source code; without git on the machine the source code has no history. Raises RepriseError."""
    source.mkdir(parents=True)
    (folder / "documents.conf").write_text("[documents]\nlanguage = en\nmax_upload = 25 MB\n")
    give(folder, owner)
    has_git = shutil.which("git") is not None
    if has_git:
        git("init", "--quiet", "--initial-branch=main", str(source), user=owner)
    for days, message, code in _VERSIONS:
        (source / "app.py").write_text(code)
        give(source / "app.py", owner)
        if has_git:
            _commit(source, owner, message, datetime.now(UTC) - timedelta(days=days))


def _commit(source: Path, owner: OsUser, message: str, at: datetime) -> None:
    env = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (
        ("NAME", "Anna Berg"), ("EMAIL", "anna.berg@example.org"), ("DATE", at.isoformat(timespec="seconds")),
    )}  # fmt: skip
    git("add", "app.py", user=owner, cwd=source)
    git("commit", "--quiet", "-m", message, user=owner, cwd=source, env=env)
