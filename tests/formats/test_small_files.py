"""backup_label, tablespace_map, backup history and timeline history files."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.formats.backup_label import read_backup_history, read_backup_label, read_label_time, read_tablespace_map
from engine.formats.history_file import read_history
from engine.records.copies import Tablespace
from engine.records.errors import DamagedCopy

LABEL = """START WAL LOCATION: 2/19000028 (file 000000030000000200000019)
CHECKPOINT LOCATION: 2/19000060
BACKUP METHOD: streamed
BACKUP FROM: standby
START TIME: 2026-11-23 15:17:15 +0330
LABEL: nightly: the big one
START TIMELINE: 3
INCREMENTAL FROM LSN: 1/F0000028
INCREMENTAL FROM TLI: 2
"""


def test_a_label_says_where_the_backup_starts() -> None:
    found = read_backup_label(LABEL)
    assert (found.start_lsn, found.checkpoint_lsn, found.timeline) == (0x219000028, 0x219000060, 3)
    assert (found.from_standby, found.method, found.label) == (True, "streamed", "nightly: the big one")
    assert (found.incremental_from_lsn, found.incremental_from_timeline) == (0x1F0000028, 2)
    assert found.started_at == datetime(2026, 11, 23, 11, 47, 15, tzinfo=UTC)


def test_a_label_cannot_name_another_origin_in_its_own_text() -> None:
    full = LABEL[: LABEL.index("INCREMENTAL")]
    found = read_backup_label(
        full.replace("nightly: the big one", "x\nSTART WAL LOCATION: 0/1 (file " + "0" * 24 + ")")
    )
    assert found.start_lsn == 0x219000028 and not found.incremental


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("START WAL LOCATION: ", "START: "),
        ("2/19000028", "2/1900002G"),
        ("(file 000000030000000200000019)", "(file 0000000300000002)"),
        ("CHECKPOINT LOCATION", "CHECK"),
        ("START TIMELINE: 3", "START TIMELINE: 4"),
        ("START TIMELINE: 3", "START TIMELINE: three"),
        ("1/F0000028", "none"),
        ("TLI: 2", "TLI: -2"),
        ("\n", "\r\n"),
    ],
)
def test_a_label_that_postgresql_would_refuse_is_refused(old: str, new: str) -> None:
    with pytest.raises(DamagedCopy):
        read_backup_label(LABEL.replace(old, new))


def test_a_backup_history_says_where_the_backup_stopped() -> None:
    text = "STOP WAL LOCATION: 2/1A000100 (file 00000003000000020000001A)\nSTOP TIME: 2026-11-23 15:18:15 UTC\n"
    found = read_backup_history(LABEL + text + "STOP TIMELINE: 3\n")
    assert (found.stop_lsn, found.stop_segment, found.stop_timeline) == (0x21A000100, "00000003000000020000001A", 3)
    assert found.stopped_at == datetime(2026, 11, 23, 15, 18, 15, tzinfo=UTC)
    with pytest.raises(DamagedCopy, match="STOP WAL LOCATION"):
        read_backup_history(LABEL)


@pytest.mark.parametrize(
    "text", ["2026-11-23 15:17:15 MSK", "2026-11-23 15:17:15", "", "UTC", "2026-13-23 15:17:15 UTC"]
)
def test_an_ambiguous_time_is_no_time(text: str) -> None:
    assert read_label_time(text) is None


def test_a_tablespace_map_unescapes_its_locations() -> None:
    text = "16384 /srv/one two\n16385 /srv/a\\\\b\\\nc\\\rd\n"
    found = read_tablespace_map(text)
    assert found == (Tablespace(16384, "/srv/one two"), Tablespace(16385, "/srv/a\\b\nc\rd"))
    assert tablespace_map(found) == text
    assert read_tablespace_map("") == ()


@pytest.mark.parametrize(
    "text", ["x /srv\n", "16384\n", "16384 \n", "0 /a\n", "99999999999 /a\n", "5 /a\n5 /b\n", "5 /a\\"]
)
def test_a_wrong_tablespace_map_is_refused(text: str) -> None:
    with pytest.raises(DamagedCopy):
        read_tablespace_map(text)


def tablespace_map(tablespaces: Iterable[Tablespace]) -> str:
    """As PostgreSQL escapes it."""
    escaped = ((space.oid, re.sub(r"[\\\n\r]", r"\\\g<0>", space.location)) for space in tablespaces)
    return "".join(f"{oid} {location}\n" for oid, location in escaped)


@given(st.lists(st.builds(Tablespace, st.integers(1, 2**32 - 1), st.text(min_size=1)), unique_by=lambda each: each.oid))
def test_tablespace_maps_are_read_as_written(spaces: list[Tablespace]) -> None:
    assert read_tablespace_map(tablespace_map(spaces)) == tuple(spaces)


def test_a_history_names_the_ancestors() -> None:
    text = "# comment\n\n1\t0/5000158\tno recovery target specified\n\n2\t0/60000A0\tbefore 2026-11-22 11:03:10+00\n"
    found = read_history(text, 3)
    assert [(fork.parent, fork.lsn) for fork in found] == [(1, 0x5000158), (2, 0x60000A0)]
    assert found[1].reason == "before 2026-11-22 11:03:10+00"
    assert read_history("", 2) == []


@pytest.mark.parametrize(
    "text",
    [
        "x\t0/1\tr\n",
        "1\n",
        "1\t0-1\n",
        "2\t0/1\n1\t0/2\n",
        "3\t0/1\n",
        "1\t0/1\n1\t0/2\n",
        "-1\t0/1\n",
        "1\t0/12345678A\n",
    ],
)
def test_a_wrong_history_is_refused(text: str) -> None:
    with pytest.raises(DamagedCopy):
        read_history(text, 3)


_LINES = st.sampled_from(
    [*LABEL.splitlines(), "STOP WAL LOCATION: 0/1 (file 0)", "1\t0/1\tx", "16384 /a", "\\", "START TIME: 9"]
)
_TEXT = st.text() | st.lists(_LINES | st.text(max_size=8)).map("\n".join)


@given(_TEXT)
def test_arbitrary_text_is_read_or_refused(text: str) -> None:
    for read in (read_backup_label, read_backup_history, read_tablespace_map, lambda given: read_history(given, 7)):
        try:
            read(text)
        except DamagedCopy:
            continue
    read_label_time(text)
