"""Page checksums: of made-up pages, where every case can be made; real clusters are in tests/steps/test_inspect.py."""

import sys

import numpy as np
import pytest

from engine.formats.pages import _BASE, wrong_pages

PAGE = bytes(range(256)) * 32


def by_hand(page: bytes, block: int) -> int:
    """pg_checksum_page of checksum_impl.h, one sum at a time."""
    words = np.frombuffer(page[:8] + b"\0\0" + page[10:], "=u4").tolist()
    total = 0
    for lane, start in enumerate(_BASE.tolist()):
        for word in [*words[lane::32], 0, 0]:
            mixed = start ^ word
            start = (mixed * 16777619 & 0xFFFFFFFF) ^ (mixed >> 17)
        total ^= start
    return (total ^ block) % 65535 + 1


def signed(page: bytes, block: int) -> bytes:
    return page[:8] + by_hand(page, block).to_bytes(2, sys.byteorder) + page[10:]


def wrong(*pages: bytes, first: int = 0) -> list[int]:
    return wrong_pages(np.frombuffer(bytearray(b"".join(pages)), np.uint8).reshape(len(pages), -1), first)


@pytest.mark.parametrize("size", [4096, 8192, 32768])
def test_pages_with_their_own_checksum_are_right_in_their_own_place_alone(size: int) -> None:
    page = (PAGE * 4)[:size]
    pages = [signed(page, block) for block in range(131072, 131072 + 5)]
    assert wrong(*pages, first=131072) == []
    assert wrong(*pages, first=131073) == [0, 1, 2, 3, 4]
    assert wrong(pages[0], pages[2], pages[2], first=131072) == [1]


def test_a_flipped_bit_anywhere_is_seen() -> None:
    right = signed(PAGE, 3)
    for place in (0, 7, 8, 9, 10, 23, 24, 4095, 8191):
        for bit in (0x01, 0x80):
            flipped = bytearray(right)
            flipped[place] ^= bit
            assert wrong(bytes(flipped), first=3) == [0]
    assert wrong(right, first=3) == []


def test_a_page_of_zeros_is_new_and_one_that_only_lost_its_header_is_not() -> None:
    assert wrong(bytes(8192), bytes(8192), first=9) == []
    assert wrong(bytes(24) + PAGE[24:], first=0) == [0]
    assert wrong(bytes(8191) + b"\1", first=0) == [0]
