"""The program's entry: the command line, with the screen handed to it. Textual is imported only when one opens."""

from typing import TYPE_CHECKING

from engine.cli import main as carry_out

if TYPE_CHECKING:
    from engine.acts import Desk


def main() -> int:
    return carry_out(open_screen=_open_screen)


def _open_screen(desk: "Desk", *, ascii: bool = False, mouse: bool = True) -> int:
    from tui.app import open_screen

    return open_screen(desk, ascii=ascii, mouse=mouse)
