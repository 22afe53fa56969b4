"""What recoveries took and what they lost: real ones, proofs, drills. Held against the site's objectives."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

RecoveryKind = Literal["restore", "proof", "drill"]


class Recovery(Struct, frozen=True):
    """One recovery that came to an end. ``name`` is its run's or its drill's, ``at`` when it began, ``ok`` whether it
    came to what was asked for.

    ``rto_seconds``: from its beginning to the recovered system open and checked, without the time in which it waited
    for answers; None where it never came to that. ``rpo_seconds``: from the last commit that was kept to the last one
    that was lost; 0 where it is known that none was, None where it is not known.
    """

    kind: RecoveryKind
    at: datetime
    name: str
    ok: bool
    rto_seconds: float | None
    rpo_seconds: float | None


class Objectives(Struct, frozen=True):
    """What a recovery may take and may lose, in seconds. None: nobody said."""

    rto_seconds: float | None = None
    rpo_seconds: float | None = None
