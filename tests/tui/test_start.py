"""What stands between the start of the program and its first picture."""

import json

import pytest

from tests.end_to_end.terminal import terminal
from tests.site_files import site_text

# The program, which tells by its first question what it has painted and imported until then.
PROGRAM = """
import json, os, sys
from pathlib import Path
import engine.acts
from textual.drivers.linux_driver import LinuxDriver
from tui.command import main

sent, write = [], LinuxDriver.write

def note(driver, data):
    sent.append(data)
    write(driver, data)

def look(desk):
    Path(TOLD).write_text(json.dumps({"sent": "".join(sent), "modules": sorted(sys.modules)}))
    os._exit(0)

LinuxDriver.write, engine.acts.look = note, look
main()
"""


@pytest.fixture(scope="module")
def at_first_question(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | list[str]]:
    folder = tmp_path_factory.mktemp("start")
    site, told = folder / "site.toml", folder / "told.json"
    site.write_text(site_text("/nowhere"))
    with terminal("-c", f"TOLD = {str(told)!r}{PROGRAM}", "--site", str(site), "--state", str(folder)) as shown:
        assert shown.ended() == 0, shown.text
    found: dict[str, str | list[str]] = json.loads(told.read_text())
    return found


def test_nothing_is_asked_before_the_first_picture(at_first_question: dict[str, str | list[str]]) -> None:
    assert "reading what there is" in at_first_question["sent"]


def test_the_first_picture_waits_for_none_of_what_answers(at_first_question: dict[str, str | list[str]]) -> None:
    """Records cost most: each is made anew at every start, unlike plain code, which is read from its bytecode."""
    allowed = {
        "engine.acts", "engine.acts.desk",
        "engine.cli", "engine.cli.arguments", "engine.cli.groups", "engine.cli.opening", "engine.cli.printing",
        "engine.records", "engine.records.errors", "engine.records.history", "engine.records.lsn",
        "engine.records.printable",
        "engine.site", "engine.site.durations", "engine.site.mistakes", "engine.site.nesting",
        "engine.site.rates", "engine.site.reading", "engine.site.tables",
    }  # fmt: skip
    modules = set(at_first_question["modules"])
    assert {name for name in modules if name.startswith("engine.")} <= allowed
    assert not modules & {"dateparser", "humanize", "numpy", "psycopg", "sh", "sqlite3", "tui.moments"}
