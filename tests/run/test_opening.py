"""The site's own command lines: what of them is told, and where they run."""

import os

import pytest

from engine.records.errors import RepriseError
from engine.steps.shared.commands import run_site_command


def test_a_command_lines_text_is_told_nowhere() -> None:
    told: list[str] = []
    with pytest.raises(RepriseError) as failure:
        run_site_command("PGPASSWORD=geheim true; echo no such service; exit 3", "[application] stop", told.append)
    assert failure.value.cause == "no such service"
    assert "[application] stop" in failure.value.message
    assert not any("geheim" in text for text in [*told, failure.value.message, failure.value.cause or ""])


def test_a_command_has_the_usual_umask_and_a_session_of_its_own() -> None:
    told: list[str] = []
    before = os.umask(0o077)
    try:
        run_site_command("umask; cut -d' ' -f6 /proc/$$/stat", "[application] start", told.append)
    finally:
        os.umask(before)
    umask, session = (line.strip() for line in told[-2:])
    assert int(umask, 8) == 0o022
    assert int(session) != os.getsid(0)
