"""Where all is well, no check says otherwise."""

from tests.end_to_end.checks.place import EXPECTED_WARNINGS, Place


def test_nothing_is_refused_or_warned_of_where_all_is_well(place: Place) -> None:
    for words in (("--latest",), ("--latest", "--in-place"), ("--immediate", "--action", "pause")):
        checks = place.plan(*words)
        assert checks.refusing == set()
        assert checks.warning <= EXPECTED_WARNINGS
    assert len(checks) > 30
