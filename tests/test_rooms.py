"""The map of the engine is the engine: each room's row in its README, and each room's own list of files."""

import ast
import pkgutil
import re
from pathlib import Path

import pytest

from engine.steps import STEPS

HOME = Path(__file__).parents[1]
ENGINE = HOME / "engine"
ROOMS = sorted(path.parent.name for path in ENGINE.glob("*/__init__.py"))
LISTING = sorted(path.parent for path in [*ENGINE.glob("*/**/__init__.py"), HOME / "tui" / "__init__.py"])
ROW = re.compile(r"\| ((?:`\w+/`(?:, )?)+) \| .* \| (.+) \|")
ALL_BUT = "all rooms above, but "


def rows() -> dict[str, str]:
    """Of each room what its row says that it imports, in the map's order."""
    found = (ROW.fullmatch(line) for line in (ENGINE / "README.md").read_text().splitlines())
    return {room: row[2] for row in found if row is not None for room in re.findall(r"\w+", row[1])}


def imports(room: str) -> set[str]:
    """The other rooms that a room's files import."""
    names: set[str] = set()
    for path in (ENGINE / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names.update(each.name for each in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                names.update(f"{node.module}.{each.name}" for each in node.names)
    return {name.split(".")[1] for name in names if name.startswith("engine.")} & set(ROOMS) - {room}


def test_every_room_has_a_row_and_every_row_a_room() -> None:
    assert sorted(rows()) == ROOMS


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "acts"])  # which import everything
def test_a_room_imports_what_its_row_says(room: str) -> None:
    row, words = rows()[room], set(re.findall(r"\w+", rows()[room]))
    above = list(rows())[: list(rows()).index(room)]
    said = set(above) - words if row.startswith(ALL_BUT) else words - {"nothing"}
    assert imports(room) == said


def test_every_name_in_the_map_is_there() -> None:
    names = re.findall(rf"`((?:{'|'.join(ROOMS)})(?:\.\w+)+)`", (ENGINE / "README.md").read_text())
    assert len(names) > 50
    for name in names:
        pkgutil.resolve_name(f"engine.{name}")


@pytest.mark.parametrize("folder", LISTING, ids=lambda folder: str(folder.relative_to(HOME)))
def test_a_room_lists_its_files(folder: Path) -> None:
    """Or its registry does: that of the steps."""
    listed = set(re.findall(r"\w+", ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""))
    if folder.name == "steps":
        listed |= {module.rpartition(".")[2] for module in STEPS.values()}
    inside = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert inside - {"__init__", "__main__"} - listed == set()
