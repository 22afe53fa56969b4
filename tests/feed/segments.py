"""WAL segments whose pages have right headers and no records: what the feed looks at."""

from pathlib import Path
from struct import pack

from engine.feed.orders import FeedSpec, Gate
from engine.records.history import Piece
from engine.records.lsn import LONG_PAGE_HEADER, PAGE_SIZE, SegmentName
from engine.system.users import everyday_user

MB = 1 << 20
SYSTEM = 7_000_000_000_000_000_001


def segment(timeline: int, number: int, system: int = SYSTEM, size: int = MB) -> bytes:
    pages = bytearray()
    for offset in range(0, size, PAGE_SIZE):
        head = pack("=HHIQI4x", 0xD110, 2 if offset == 0 else 0, timeline, number * size + offset, 0)
        if offset == 0:
            head += pack("=QII", system, size, PAGE_SIZE)
        pages += head + b"\x5a" * (PAGE_SIZE - len(head))
    return bytes(pages)


def name(timeline: int, number: int) -> str:
    return SegmentName(timeline, number).text(MB)


def archive(folder: Path, timeline: int, numbers: range) -> None:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        (folder / name(timeline, number)).write_bytes(segment(timeline, number))


def spec(root: Path, gate: int, *, pieces: tuple[Piece, ...] | None = None, ahead: int = 4) -> FeedSpec:
    user = everyday_user()
    (root / "pg_wal").mkdir(exist_ok=True)
    return FeedSpec(
        roots=(str(root / "archive"),),
        segment_size=MB,
        system_identifier=SYSTEM,
        spool=str(root / "spo ol's"),
        pg_wal=str(root / "pg_wal"),
        uid=user.uid,
        gid=user.gid,
        gate=Gate(gate, pieces or (Piece(1, MB + LONG_PAGE_HEADER, gate),)),
        ahead=ahead,
    )
