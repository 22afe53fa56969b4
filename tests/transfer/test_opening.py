"""Compressed files, told apart by what they hold."""

import bz2
import functools
import gzip
import io
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import pytest

from engine.records.errors import DamagedCopy
from engine.transfer.opening import open_compressed, read_blocks

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DATA = random.Random(7).randbytes(300_000) + b"page " * 500_000
PACK: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
}

# With a checksum of the whole content, which gzip always has
CHECKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "lz4": functools.partial(lz4.frame.compress, content_checksum=True),
    "zstd": functools.partial(zstd.compress, options={zstd.CompressionParameter.checksum_flag: 1}),
}


def unpack(path: Path, data: bytes) -> bytes:
    path.write_bytes(data)
    with open_compressed(path) as file:
        return file.read()


@pytest.mark.parametrize("kind", PACK)
def test_every_compression_is_known_by_its_magic_whatever_the_name(tmp_path: Path, kind: str) -> None:
    assert unpack(tmp_path / "file.txt", PACK[kind](DATA)) == DATA


@pytest.mark.parametrize("kind", ["gzip", "lz4", "zstd"])
def test_several_frames_in_one_file_are_one_stream(tmp_path: Path, kind: str) -> None:
    assert unpack(tmp_path / "f", PACK[kind](DATA[:1000]) + PACK[kind](b"") + PACK[kind](DATA[1000:])) == DATA


@pytest.mark.parametrize("kind", ["gzip", "lz4", "zstd"])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.9999])
def test_a_cut_off_file_is_damaged_and_named(tmp_path: Path, kind: str, share: float) -> None:
    packed = PACK[kind](DATA)
    with pytest.raises(DamagedCopy, match=r"segment\.x"):
        unpack(tmp_path / "segment.x", packed[: int(len(packed) * share)])


@pytest.mark.parametrize("kind", CHECKED)
def test_any_flipped_bit_is_found_or_changes_nothing(kind: str) -> None:
    """Every bit of two small frames but the first one's magic, without which it is no compressed file."""
    data = random.Random(7).randbytes(150) + b"page " * 40 + bytes(300) + b"abcabd" * 30
    packed = CHECKED[kind](data) + CHECKED[kind](data[::-1])
    unchanged = 0
    for bit in range(8 * 4, 8 * len(packed)):
        flipped = bytearray(packed)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            unpacked = b"".join(read_blocks(Path("f"), io.BytesIO(flipped)))
        except DamagedCopy:
            continue
        assert unpacked == data + data[::-1], f"byte {bit // 8}, bit {bit % 8}"
        unchanged += 1
    assert unchanged < 0.05 * 8 * len(packed)


@pytest.mark.parametrize("kind", ["gzip", "lz4", "zstd"])
def test_foreign_bytes_behind_the_last_frame_are_damage(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DamagedCopy):
        unpack(tmp_path / "f", PACK[kind](DATA) + b"something else")


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_padding_of_zeros_is_allowed(tmp_path: Path, kind: str) -> None:
    assert unpack(tmp_path / "f", PACK[kind](DATA) + bytes(1 << 21)) == DATA


@pytest.mark.parametrize("content", [b"", b"a", b"\x1f", b"\x28\xb5\x2f", bz2.compress(b"x")])
def test_what_is_not_compressed_comes_as_it_is(tmp_path: Path, content: bytes) -> None:
    assert unpack(tmp_path / "f", content) == content


def test_a_file_is_read_in_small_pieces_too(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(gzip.compress(DATA))
    with open_compressed(path) as file:
        pieces = iter(lambda: file.read(7919), b"")
        assert b"".join(pieces) == DATA


def test_random_bytes_behind_a_magic_never_end_in_another_error(tmp_path: Path) -> None:
    chance = random.Random(11)
    for magic in (b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"):
        for _ in range(60):
            with pytest.raises(DamagedCopy):
                unpack(tmp_path / "f", magic + chance.randbytes(chance.randrange(200)) + b"!")


def test_a_pipe_in_a_segments_place_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "000000010000000000000001")
    with pytest.raises(DamagedCopy, match="regular"):
        open_compressed(tmp_path / "000000010000000000000001")
