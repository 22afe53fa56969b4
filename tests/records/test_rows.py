"""Rows told in words: on one printable line, whoever wrote what stands in them."""

import pytest

from engine.records.rows import NamedRow, told_row, told_rows


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"id": 17, "document_id": 5, "title": "Contract"}, 'id 17, document_id 5, title "Contract"'),
        ({"id": -1, "signed": True, "until": None, "part": 0.5}, "id -1, signed true, until NULL, part 0.5"),
        ({"?column?": 17, "?column? (2)": "a"}, '17, "a"'),
        ({"title": 'x", id 18'}, r'title "x\", id 18"'),
        ({"title": "a\\"}, r'title "a\\"'),
        ({"title\n": "\x1b[31mred\n\u202e"}, r'title\n "\x1b[31mred\n\u202e"'),
    ],
)
def test_a_row_is_told_by_its_columns_and_nothing_in_it_can_pass_for_another(row: NamedRow, told: str) -> None:
    assert told_row(row) == told


def test_rows_that_are_not_named_are_counted() -> None:
    named = [{"id": number} for number in (1, 2, 3)]
    assert told_rows(named, 3) == "id 1; id 2; id 3"
    assert told_rows(named, 4) == "id 1; id 2; id 3; and 1 more row"
    assert told_rows(named, 1_000_000) == "id 1; id 2; id 3; and 999997 more rows"
    assert told_rows([], 5) == ""
