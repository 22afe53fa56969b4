"""Without a terminal: plain lines; and what a terminal is asked before anything is drawn."""

import io

import pytest

from engine.records.errors import Unreachable
from tests.tui.driving import driving
from tests.tui.source import StandIn, desk
from tui.painting.glyphs import PLAIN, UNICODE
from tui.plain import print_plain
from tui.terminal import choose_glyphs


def test_catalog_and_windows_as_plain_lines() -> None:
    out = io.StringIO()
    assert print_plain(desk(), StandIn(), out) == 0
    text = out.getvalue()
    assert text.isascii()
    assert "NOT USABLE: base.tar: checksum differs" in text
    assert "timeline 2" in text and "restore point month_close" in text


def test_an_error_is_told_with_its_remedy() -> None:
    class Broken(StandIn):
        def look(self, desk: object) -> object:  # type: ignore[override]
            raise Unreachable("/backup does not answer", remedy="mount it")

    out = io.StringIO()
    assert print_plain(desk(), Broken(), out) == 1  # type: ignore[arg-type]
    assert out.getvalue() == "reprise: /backup does not answer\n         mount it\n"


@pytest.mark.parametrize(
    ("environ", "plain"),
    [
        ({"TERM": "xterm-256color", "LANG": "en_US.UTF-8"}, False),
        ({"TERM": "linux", "LANG": "en_US.UTF-8"}, True),
        ({"TERM": "vt100", "LANG": "en_US.UTF-8"}, True),
        ({"TERM": "xterm", "LANG": "de_AT.ISO-8859-1"}, True),
        ({"TERM": "xterm", "LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),  # Python's own doing, PEP 538
        ({"TERM": "xterm", "LANG": "C.UTF-8"}, False),
        ({"TERM": "xterm", "LC_ALL": "C", "LANG": "en_US.UTF-8"}, True),
    ],
)
def test_plain_signs_where_the_others_cannot_be_shown(environ: dict[str, str], plain: bool) -> None:
    assert choose_glyphs(False, environ) is (PLAIN if plain else UNICODE)
    assert choose_glyphs(True, environ) is PLAIN


def test_every_sign_is_one_cell_and_has_a_plain_form() -> None:
    from msgspec.structs import fields
    from rich.cells import cell_len

    for field in fields(UNICODE):
        one, other = getattr(UNICODE, field.name), getattr(PLAIN, field.name)
        if isinstance(one, str):
            assert cell_len(one) == len(one)
            assert other.isascii(), field.name


async def test_a_resized_terminal_is_painted_anew() -> None:
    async with driving(80, 24) as driver:
        await driver.resize(160, 50)
        assert "recovery windows" in driver.text
        await driver.resize(40, 12)
        assert len(driver.text.splitlines()) <= 12 and "REACHABLE" in driver.text
