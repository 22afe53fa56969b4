"""The copies of one protected thing, newest first: when, how large, whether proven, where."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar, NamedTuple

from textual.binding import BindingType

from engine.records.copies import Catalog, Dump
from engine.records.copying import Proof
from engine.records.status import Thing, ThingName
from tui import words
from tui.errands import Answer, Errand
from tui.keys import bind
from tui.painting.grid import Grid
from tui.screens.overview_picture import NAMES
from tui.screens.scrolled import Scrolled
from tui.widgets.frame import Hint, paint_rule, paint_wrapped

KINDS: Mapping[ThingName, tuple[str, ...]] = {
    "database-full": ("base", "dump"), "database-incremental": ("wal", "base"), "files": ("media",),
    "source": ("source",), "environment": ("image",),
}  # fmt: skip


class Row(NamedTuple):
    """One copy. ``wrong``: why it does not count. ``proof``: the id that it is verified by, where that is another."""

    id: str
    kind: str
    at: datetime | None
    size: int | None
    path: str
    wrong: str | None = None
    dump: Dump | None = None
    proof: str | None = None


class CopiesScreen(Scrolled):
    """The copies of one thing."""

    title_words = "copies"
    choosing = True
    BINDINGS: ClassVar[list[BindingType]] = [bind("open", "open"), bind("read", "read_again")]

    def __init__(self, thing: Thing, next_at: datetime | None) -> None:
        super().__init__()
        self.thing, self.next_at = thing, next_at
        self.rows: list[Row] | None = None
        self.proofs: dict[str, Proof] = {}

    def begin(self) -> None:
        self.reading = Errand(self, "copies")
        self.action_read_again()

    def action_read_again(self) -> None:
        acts, desk = self.session.acts, self.desk

        def read() -> tuple[Catalog, list[Proof]]:
            catalog = acts.look(desk).catalog
            return catalog, acts.proofs(desk, catalog)

        self.reading.ask("copies", read)
        self.repaint()

    def on_answer(self, answer: Answer) -> None:
        answer.stop()
        if answer.error is not None:
            self.say_error(answer.error)
        else:
            catalog, proofs = answer.result
            self.rows = copies_of(self.thing, catalog)
            kinds = KINDS[self.thing.name]
            self.proofs = {proof.id: proof for proof in proofs if proof.kind in kinds}
        self.repaint()

    def paint(self, grid: Grid) -> None:
        g, zone, stop = grid.glyphs, self.desk.site.zone, grid.width - 1
        self.header(grid, "overview", NAMES[self.thing.name])
        then = words.minute(self.next_at, zone) if self.next_at is not None else "none: no schedule of it is installed"
        grid.put(1, 2, "next copy", "muted")
        grid.put(12, 2, then, "text" if self.next_at is not None else "muted", stop)
        top = 3
        for finding in self.thing.findings:
            top = paint_wrapped(grid, 1, top, finding, "muted", stop, 2)
        top += bool(self.thing.findings)
        for x, name in ((3, "copy"), (40, "taken"), (54, "size"), (66, "proof")):
            grid.put_whole(x, top, name, "faint", stop)
        if self.rows is None:
            grid.put(3, top + 1, "reading …", "muted")
            return
        if not self.rows:
            grid.put(3, top + 1, "there is no copy; Esc, then c takes one", "muted")
        for number, (y, row) in enumerate(self.rows_in_sight(grid, self.rows, top + 1, grid.height - 6, 2)):
            here = self.first + number == self.chosen
            proof = self.proofs.get(row.proof or row.id)
            bad = row.wrong is not None or (proof is not None and proof.ok is False)
            grid.put(0, y, g.now if here else " ", "accent!")
            grid.put(1, y, g.bad if bad else g.ok, "bad" if bad else "ok")
            grid.put_cut(3, y, row.id, "accent!" if here else "text", 39)
            grid.put(40, y, words.minute(row.at, zone) if row.at else "unknown", "text", stop)
            grid.put(54, y, words.size(row.size) if row.size is not None else "", "muted", stop)
            told = "never" if proof is None else words.minute(proof.at, zone)
            if proof is not None and proof.ok is not True:
                told = "FAILED" if proof.ok is False else "not possible"
            grid.put_whole(66, y, told, "bad!" if proof and proof.ok is False else "muted", stop)
        if self.rows:
            self._paint_chosen(grid, self.rows[self.chosen])

    def _paint_chosen(self, grid: Grid, row: Row) -> None:
        y, stop = grid.height - 5, grid.width - 1
        paint_rule(grid, y)
        grid.put_cut(1, y + 1, f"{row.kind} in {row.path}", "text", stop)
        proof = self.proofs.get(row.proof or row.id)
        wrong = row.wrong or (proof.findings[0] if proof is not None and proof.findings else None)
        if wrong is not None:
            paint_wrapped(grid, 1, y + 2, wrong, "bad", stop, 2)

    def action_open(self) -> None:
        row = self.rows[self.chosen] if self.rows else None
        if row is not None and row.wrong is None and self.thing.name == "files":
            from tui.screens.files import FilesScreen

            self.app.push_screen(FilesScreen(row.at or self.session.clock(), row.id))
            return
        if row is None or row.dump is None:
            self.say("a dump is restored from here; every other moment from the timeline (2)", "muted")
            return
        from tui.screens.dump_plan import DumpPlanScreen

        self.app.push_screen(DumpPlanScreen(row.dump))

    def to_copy(self) -> str:
        return self.rows[self.chosen].path if self.rows else ""

    def hints(self) -> Sequence[Hint]:
        dumps = any(row.dump is not None for row in self.rows or ())
        opens = "open" if self.thing.name == "files" else "restore" if dumps else ""
        return (
            Hint(self.session.glyphs.up_down, "choose"),
            *((self.hint("open", opens, "open"),) if opens else ()),
            self.hint("copy", "copy its path", "app.copy"),
            self.hint("read", "read again", "read_again"),
            self.hint("back", "back", "app.back"),
            self.hint("help", "help", "app.help"),
        )


def copies_of(thing: Thing, catalog: Catalog) -> list[Row]:
    """The copies of a thing, newest first."""
    rows: list[Row] = []
    if thing.name == "database-full":
        rows += [
            Row(each.id, "base backup", each.started_at, each.size_bytes, str(each.path), each.reason)
            for each in catalog.base_backups
            if not each.incremental
        ]
        rows += [
            Row(
                each.id,
                f"dump of {each.database or '?'}",
                each.started_at,
                each.size_bytes,
                str(each.path),
                each.reason,
                each if each.usable else None,
            )
            for each in catalog.dumps
        ]
    elif thing.name == "database-incremental":
        rows += [
            Row(
                f"{each.first} on", f"WAL of timeline {each.timeline}, {each.segments} segments", each.last_commit_at,
                each.bytes, f"{each.first} to {each.last}", proof="wal",
            )
            for each in catalog.wal_ranges
        ]  # fmt: skip
        rows += [
            Row(each.id, "incremental backup", each.started_at, each.size_bytes, str(each.path), each.reason)
            for each in catalog.base_backups
            if each.incremental
        ]
    elif thing.name == "files":
        rows += [
            Row(each.id, f"snapshot of {each.files or '?'} files", each.started_at, each.size_bytes, str(each.path),
                each.reason)
            for each in catalog.media_snapshots
        ]  # fmt: skip
    elif thing.name == "source":
        rows += [Row(each.id, each.form, each.started_at, None, str(each.path)) for each in catalog.sources]
    else:
        rows += [
            Row(each.id, each.form, each.started_at, each.size_bytes, str(each.path), each.reason)
            for each in catalog.images
        ]
    return sorted(rows, key=lambda row: (row.at is not None, row.at), reverse=True)
