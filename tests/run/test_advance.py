"""Whether replay may go on from the gate where a run stands; asked before the engine is."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.acts.running import _may_follow
from engine.records.copies import BaseBackup
from engine.records.errors import Refused
from engine.records.history import Piece
from engine.records.target import RecoveryPoint, RecoveryTarget

SEGMENT = 16 << 20
BACKUP = BaseBackup("full", "repository", Path("/nowhere"), "plain")
PRESENT = RecoveryPoint(
    target=RecoveryTarget("latest"),
    chain=(BACKUP,),
    timeline=1,
    gate=0x3000100,
    pieces=(Piece(1, 0x2000000, 0x3000100),),
    segment_size=SEGMENT,
    wal_first=None,
    wal_last=None,
    wal_segments=1,
    wal_bytes=0,
    kept=None,
    lost=None,
    lost_commits=0,
)


def later(gate: int, *pieces: Piece) -> RecoveryPoint:
    return replace(PRESENT, gate=gate, timeline=pieces[-1].timeline, pieces=pieces)


def test_a_later_point_on_the_same_way_may_follow() -> None:
    _may_follow("run", later(0x3000200, Piece(1, 0x2000000, 0x3000200)), PRESENT)
    _may_follow("run", later(0x4000200, Piece(1, 0x2000000, 0x3000180), Piece(2, 0x3000180, 0x4000200)), PRESENT)


@pytest.mark.parametrize("gate", [0x3000080, 0x3000100])
def test_an_earlier_point_and_the_same_one_are_refused(gate: int) -> None:
    with pytest.raises(Refused, match="stands at 0/3000100"):
        _may_follow("run", later(gate, Piece(1, 0x2000000, gate)), PRESENT)


def test_a_line_that_left_before_the_gate_is_refused() -> None:
    with pytest.raises(Refused, match="does not go through"):
        _may_follow("run", later(0x4000000, Piece(1, 0x2000000, 0x3000050), Piece(2, 0x3000050, 0x4000000)), PRESENT)
