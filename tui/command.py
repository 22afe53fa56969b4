"""The program's entry: the command line, with the screen handed to it. Nothing of Textual is imported until one opens."""

from engine.cli import main as carry_out


def main() -> int:
    return carry_out(open_screen=_open_screen)


def _open_screen(*arguments: object, **options: object) -> int:
    from tui.app import open_screen

    return open_screen(*arguments, **options)
