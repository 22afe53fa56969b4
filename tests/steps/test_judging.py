"""What the files' check finds, held against what was known to be nobody's."""

from pathlib import Path

from engine.media.checking import check_files
from engine.media.choices import Choices, Lost
from engine.media.references import collect
from engine.steps.files.judging import NOBODY, judge


def test_what_was_lost_before_the_database_could_say_who_refers_to_it_has_its_rows_then(tmp_path: Path) -> None:
    references = collect([("damaged",), ("damaged",), ("unseen",)], tmp_path / "references.sqlite")
    (tmp_path / "media").mkdir()
    checked = check_files(tmp_path / "media", references, tmp_path / "book")
    with Choices(tmp_path / "files.sqlite") as choices:
        choices.lose(Lost(b"damaged", None, 7, 0, "its copy cannot be read"))
        judged = judge(choices, checked, narrowed=False)
        assert (judged.listed, judged.stops) == (2, False)
        assert [(each.path, each.rows, each.why) for each in choices.all_lost()] == [
            (b"damaged", 2, "its copy cannot be read"),
            (b"unseen", 1, NOBODY),
        ]
