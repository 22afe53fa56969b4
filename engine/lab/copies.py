"""Who takes the lab's copies: the lab lies below the acts that do, so it is handed them (acts.practising)."""

from pathlib import Path
from typing import Literal, Protocol

LabCopy = Literal["base", "base-plain", "base-incremental", "dump", "media", "source", "image"]


class Copies(Protocol):
    """Copies of a site, taken as its operator takes them."""

    def take(self, site_file: Path, what: LabCopy) -> str:
        """Take one and wait until it is complete and verified; its id. Raises RepriseError."""
        ...

    def stop(self, folder: Path) -> None:
        """Stop all that are being taken into repositories below ``folder``, a dead builder's too."""
        ...
