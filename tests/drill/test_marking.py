"""Marks that need no server."""

from pathlib import Path

import msgspec

from engine.drill import scenario as words
from engine.drill.folder import Truth
from engine.drill.hands import Hands
from engine.drill.marking import mark
from engine.drill.reading import find_scenario
from engine.drill.staging import standing
from engine.lab.lab import Lab
from tests.recovery.scenes import POSTGRES, PROGRAMS


def test_kept_is_what_was_renamed_and_not_a_folder_made_anew_in_its_place(tmp_path: Path) -> None:
    """ext4 gives the new folder the very inode of the old one."""
    lab = Lab(tmp_path, PROGRAMS, POSTGRES, 1)
    for folder in (lab.data_dir, lab.media):
        folder.mkdir()
    named = find_scenario("table-dropped")
    kept = tuple(each for each in named.scenario.marks if isinstance(each, words.Kept))
    named = msgspec.structs.replace(named, scenario=msgspec.structs.replace(named.scenario, marks=kept))
    truth = Truth(named, {}, {}, standing(lab))

    def told() -> tuple[bool | None, str]:
        (found,) = mark(truth, lab, Hands, [], 0.0).marks  # type: ignore[arg-type]
        return found.ok, found.told

    lab.data_dir.rename(tmp_path / "aside")
    lab.data_dir.mkdir()
    assert told() == (True, "all that stood there at the call is there, or set aside")
    lab.media.rmdir()
    lab.media.mkdir()
    assert told() == (False, "gone: media")
    lab.media.rmdir()
    (tmp_path / "aside").rmdir()
    assert told() == (False, "gone: data, and 1 more")
