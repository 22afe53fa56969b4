"""A script in rsync's place."""

import os
import shutil
from pathlib import Path

import pytest


def silent(done: int) -> None:
    pass


def wrapped_rsync(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a script in rsync's place; ``$rsync`` is the real one."""
    (folder / "bin").mkdir(parents=True)
    rsync = folder / "bin" / "rsync"
    rsync.write_text(f"#!/bin/sh\nrsync={shutil.which('rsync')}\n{script}\n")
    rsync.chmod(0o755)
    monkeypatch.setenv("PATH", f"{rsync.parent}:{os.environ['PATH']}")
