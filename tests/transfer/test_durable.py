"""Small files that are whole or not there, whatever the disk does."""

import os
import resource
from pathlib import Path

import pytest

from engine.transfer.durable import put_file
from tests.limits import limited


def test_a_file_is_put_in_place_of_an_earlier_one_for_its_owner_alone(tmp_path: Path) -> None:
    place = tmp_path / "note"
    place.write_bytes(b"of before")
    put_file(place, b"of now")
    assert place.read_bytes() == b"of now"
    assert place.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["note"]  # noqa: PTH208


def test_where_there_is_no_room_what_stood_there_stands_and_nothing_half_written(tmp_path: Path) -> None:
    place = tmp_path / "note"
    place.write_bytes(b"of before")
    with limited(resource.RLIMIT_FSIZE, 2), pytest.raises(OSError, match="too large"):
        put_file(place, b"of now")
    assert place.read_bytes() == b"of before"
    assert os.listdir(tmp_path) == ["note"]  # noqa: PTH208
