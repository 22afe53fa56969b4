"""Which row of the terminal shows what: by rank, so that a low terminal drops blank rows first, then the legend."""

from msgspec import Struct

from tui.axis.lanes import AxisRows

PLOT = 12  # first cell of the plot, and of the facts
PANE = 53  # cells of the pane with the commits, its separator included

# In the order of the screen: name, and the rank by which rows are given out (0 first).
_ROWS: tuple[tuple[str, int], ...] = (
    ("header", 0),
    ("top rule", 45),
    ("title", 9),
    ("title gap", 44),
    ("labels", 8),
    ("ticks", 0),
    ("density 6", 43),
    ("density 5", 42),
    ("density 4", 32),
    ("density 3", 31),
    ("density 2", 10),
    ("density 1", 0),
    ("gap 1", 34),
    ("parent", 0),
    ("live", 0),
    ("gap 2", 35),
    ("backups", 0),
    ("media", 6),
    ("dumps", 5),
    ("points", 7),
    ("gap 3", 46),
    ("rule", 0),
    ("verdict gap", 36),
    ("verdict", 0),
    ("kept gap", 41),
    ("kept", 0),
    ("lost", 0),
    ("source gap", 15),
    ("source", 4),
    ("replay", 11),
    ("media fact", 12),
    ("takes", 13),
    ("windows gap", 37),
    ("windows 1", 37),
    ("windows 2", 37),
    ("windows 3", 37),
    ("windows 4", 38),
    ("windows 5", 50),
    ("events gap", 39),
    ("events 1", 39),
    ("events 2", 39),
    ("events 3", 39),
    ("events 4", 39),
    ("events 5", 40),
    ("events 6", 40),
    ("events 7", 51),
    ("events 8", 51),
    ("spring", 99),
    ("legend gap", 16),
    ("legend", 14),
    ("footer", 0),
)
_TOGETHER = (37, 39)  # ranks that make sense only whole
_AFTER = {38: 37, 50: 37, 40: 39, 51: 39}  # ranks that make sense only with another one


class Places(Struct, frozen=True):
    """The rows by name, and the columns."""

    width: int
    height: int
    main: int  # the main part ends before this cell
    right: int  # the plot ends before this cell
    rows: dict[str, int]

    def row(self, name: str) -> int | None:
        return self.rows.get(name)

    def several(self, name: str) -> list[int]:
        return sorted(
            y for key, y in self.rows.items() if key.startswith(name + " ") and key[len(name) + 1 :].isdigit()
        )

    @property
    def axis(self) -> AxisRows:
        rows = self.rows
        return AxisRows(
            rows.get("labels"), rows["ticks"], tuple(self.several("density")), rows["parent"], rows["live"],
            rows["backups"], rows.get("media"), rows.get("dumps"), rows.get("points"), rows["rule"],
        )  # fmt: skip


def places(width: int, height: int) -> Places:
    """Lay the timeline screen out. The smallest that works is 40 columns and 12 rows; below that it is cut off."""
    chosen: list[str] = []
    whole: set[int] = set()
    by_rank = sorted(_ROWS, key=lambda row: row[1])
    for rank in sorted({rank for _, rank in _ROWS}):
        names = [name for name, own in by_rank if own == rank]
        room = height - len(chosen)
        if rank == 99 or room <= 0:
            break
        if len(names) > room and rank in _TOGETHER:
            continue
        if rank in _AFTER and _AFTER[rank] not in whole:
            continue
        whole.add(rank)
        chosen.extend(names[:room] if rank else names)
    rows: dict[str, int] = {}
    y = 0
    present = set(chosen)
    for name, _ in _ROWS:
        if name in present:
            rows[name] = y
            y += 1
    shift = height - y  # what is left over goes between the facts and the legend
    if shift > 0:
        for name in ("legend gap", "legend", "footer"):
            if name in rows:
                rows[name] += shift
    main = width - PANE if width >= 130 else width
    return Places(width, height, main, main - 2, rows)
