"""What a drill wants done as an operator does it. The drill lies below the acts, so it is handed them
(acts.practising)."""

from collections.abc import Sequence
from typing import Protocol

from engine.lab.copies import Copies


class Hands(Copies, Protocol):
    """Copies of the lab's site, commands of this program, its check of the files."""

    def call(self, words: Sequence[str]) -> tuple[int, str]:
        """A command line of this program on the lab's site, to its end; its exit code, and what it complained of.
        Raises RepriseError where it cannot be started, or does not end."""
        ...

    def files_match(self) -> tuple[bool, str]:
        """Whether each file that the lab's database refers to is there and right, and what was found. Raises
        RepriseError."""
        ...
