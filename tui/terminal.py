"""What this terminal can show, and when it goes away."""

import ctypes
import locale
import os
import select
import sys
import threading
from collections.abc import Callable, Mapping

from tui.painting.glyphs import PLAIN, UNICODE, Glyphs

_PLAIN_TERMS = ("linux", "vt100", "vt102", "vt220", "ansi", "cons25", "sun")


def is_screen(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a terminal that a screen can be drawn on."""
    if environ.get("TERM", "") in ("", "dumb", "unknown"):
        return False
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.__stderr__))


def no_colour(environ: Mapping[str, str] = os.environ) -> bool:
    """NO_COLOR, when present and not empty (no-color.org)."""
    return bool(environ.get("NO_COLOR"))


def choose_glyphs(ascii_only: bool, environ: Mapping[str, str] = os.environ) -> Glyphs:
    """Plain signs where asked for, on consoles whose font lacks the others, and where the locale is not UTF-8."""
    term = environ.get("TERM", "")
    if ascii_only or term.split("-")[0] in _PLAIN_TERMS:
        return PLAIN
    lang, character_type = environ.get("LANG", ""), environ.get("LC_CTYPE", "")
    if lang in ("", "C", "POSIX") and character_type in ("C.UTF-8", "C.utf8", "UTF-8"):
        character_type = ""  # not the operator's: Python sets it so in the C locale (PEP 538)
    named = environ.get("LC_ALL") or character_type or lang
    if "utf-8" not in named.lower() and "utf8" not in named.lower():
        return PLAIN
    return PLAIN if _counts_as_wide(UNICODE) else UNICODE


def _counts_as_wide(glyphs: Glyphs) -> bool:
    """Whether the C library counts these signs as two cells wide, as it does in some East Asian locales."""
    try:
        locale.setlocale(locale.LC_CTYPE, "")
        width = ctypes.CDLL(None).wcwidth
        width.argtypes = [ctypes.c_wchar]
    except (OSError, AttributeError, locale.Error):
        return False
    signs = {glyphs.reachable, glyphs.full, glyphs.ok, glyphs.warn, glyphs.head, glyphs.line}
    return any(width(sign) > 1 for sign in signs)


def watch_hang_up(gone: Callable[[], None], handle: int = 0) -> None:
    """Call ``gone`` from a thread of its own once the terminal behind ``handle`` has hung up.

    Textual's reader spins at the end of input (textual#6690); poll() with no events wanted wakes for a hang-up only.
    """

    def wait() -> None:
        poll = select.poll()
        try:
            poll.register(handle, 0)
            while not poll.poll():
                pass
        except (OSError, ValueError):
            pass
        gone()

    threading.Thread(target=wait, name="hang-up", daemon=True).start()
