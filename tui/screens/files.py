"""The users' files of a snapshot: folder by folder, by name, and what differs from live or from another snapshot.

A page of a folder is one look-up in the snapshot's listing, done at once; what may take its time (the listing made,
a search, a difference, the live file) is an errand's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual.binding import BindingType

from engine.records.copies import MediaSnapshot
from engine.records.errors import RepriseError, UsageError
from engine.records.rows import told_rows
from tui import words
from tui.errands import Answer, Errand
from tui.keys import bind
from tui.painting.grid import Grid
from tui.screens.files_picture import ABSENT, WIDE, Looked, Row, paint_files
from tui.screens.scrolled import Scrolled
from tui.widgets.frame import Hint
from tui.widgets.question import Question, TypedLine

if TYPE_CHECKING:
    from engine.acts import Desk, Listed, Listing
    from tui.acting import Acts

MOST = 10_000  # rows of a search or a difference


class Opened(NamedTuple):
    """A snapshot's listing, and where in it."""

    snapshots: list[MediaSnapshot]
    snapshot: MediaSnapshot
    listing: Listing
    here: Listed  # the folder that is shown, and its path
    path: bytes


def named(listing: Listing, here: Listed, text: str) -> tuple[list[Row], str]:
    """The rows of a search by name, and how they are called."""
    rows = listing.search(text, here, count=MOST)
    more = ", the first of them" if len(rows) == MOST else ""
    paths = [listing.path(row) for row in rows]
    told = f"{words.plural(len(rows), 'name', 'names')} with {text!r}{more}"
    return [Row(path, path, row) for path, row in zip(paths, rows, strict=True)], told


def rows_of(acts: Acts, desk: Desk, listing: Listing, text: str) -> tuple[list[Row], str]:
    """The files of the rows of the live database that have these words in them."""
    found, all_of_them = acts.files_of_rows(desk, text)
    rows = []
    for each in found:
        entry = listing.find(each.path)
        how = ABSENT if entry is None else None
        rows.append(Row(each.path, each.path, entry, how, rows=told_rows(each.named, each.rows)))
    more = "" if all_of_them else ", the first of them"
    return rows, f"{words.plural(len(rows), 'file', 'files')} of rows with {text.strip()!r}{more}"


class FilesScreen(Scrolled):
    """The files of a snapshot."""

    title_words = "files"
    choosing = True
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("open", "open"),
        bind("up-folder", "up_folder"),
        bind("find", "find"),
        bind("difference", "difference"),
        bind("next-snapshot", "snapshot(1)"),
        bind("previous-snapshot", "snapshot(-1)"),
        bind("restore-files", "restore"),
        bind("read", "read_again"),
    ]

    def __init__(self, at: datetime, snapshot: str | None = None) -> None:
        super().__init__()
        self.at, self.wanted = at, snapshot
        self.opened: Opened | None = None
        self.here: Listed | None = None
        self.path = b""
        self.kept_rows: tuple[int, int, list[Listed]] = (-1, 0, [])  # folder, first place, rows
        self.found: list[Row] | None = None  # of a search or a difference
        self.found_words = ""
        self.done = 0
        self.being_listed = False
        self.looked: dict[bytes, Looked] = {}
        self.searching: Listing | None = None  # in the errand's hands
        self.looked_for: object = None

    def begin(self) -> None:
        self.list_errand, self.find_errand, self.live_errand = (Errand(self, name) for name in ("list", "find", "live"))
        self.action_read_again()

    def on_unmount(self) -> None:
        if (under_way := self.searching) is not None:
            under_way.interrupt()
        if self.opened is not None:
            self.opened.listing.close()

    def action_read_again(self) -> None:
        acts, desk, at, wanted = self.session.acts, self.desk, self.at, self.wanted
        wanted_path = self.path
        self.done, self.looked, self.being_listed = 0, {}, True

        def progress(done: int) -> None:
            self.post_message(Answer(self.list_errand, "progress", done, None))

        def work() -> Opened:
            snapshots = acts.file_snapshots(desk)
            one = next((each for each in snapshots if each.id == wanted), None) or acts.snapshot_at(snapshots, at)
            if one is None:
                raise UsageError("there is no snapshot of the files", remedy="take one: overview (1), files, c")
            listing = acts.list_files(desk, one.id, progress)
            path = wanted_path
            while (here := listing.find(path)) is None or here.kind != "d":
                path = path.rpartition(b"/")[0]
            return Opened(snapshots, one, listing, here, path)

        self.list_errand.ask("list", work)
        self.repaint()

    def on_answer(self, answer: Answer) -> None:
        answer.stop()
        if answer.errand is self.find_errand and answer.ask is not self.looked_for:
            return
        if answer.errand is self.list_errand and answer.ask == "list":
            self.being_listed = False
        if answer.error is not None:
            self.say_error(answer.error)
        elif answer.ask == "progress":
            self.done = answer.result
        elif answer.errand is self.list_errand:
            self._take_in(answer.result)
        elif answer.errand is self.live_errand:
            self.looked[answer.result.path] = answer.result
        else:
            self.found, self.found_words = answer.result
            self.chosen = 0
            self.note = None
        self.repaint()

    def _take_in(self, opened: Opened) -> None:
        """Another snapshot keeps the path, as far as it has it."""
        if self.opened is not None:
            self.opened.listing.close()
        self.opened, self.wanted, self.found = opened, opened.snapshot.id, None
        if opened.path != self.path:
            self.say("the folder is not in this snapshot; this is the nearest above it", "muted")
        self._enter(opened.here, opened.path, self.chosen)

    def _enter(self, here: Listed, path: bytes, chosen: int = 0) -> None:
        self.here, self.path, self.chosen = here, path, chosen
        self.kept_rows = (-1, 0, [])
        self.total = here.children

    # Rows

    def row_count(self) -> int:
        return len(self.found) if self.found is not None else self.here.children if self.here else 0

    def rows_from(self, first: int, count: int) -> list[Row]:
        if self.found is not None:
            return self.found[first : first + count]
        if self.opened is None or self.here is None:
            return []
        folder, start, rows = self.kept_rows
        if folder != self.here.id or not start <= first or first + count > start + len(rows):
            start = max(0, first - count)
            try:
                rows = self.opened.listing.folder(self.here.id, start, 3 * count)
            except RepriseError as error:
                self.note, self.note_role = error.message + "; r reads it again", "bad"
                return []
            self.kept_rows = (self.here.id, start, rows)
        return [Row(self._below(row.name), row.name, row) for row in rows[first - start : first - start + count]]

    def _find(self, path: bytes) -> Listed | None:
        try:
            return self.opened.listing.find(path) if self.opened is not None else None
        except RepriseError as error:
            self.note, self.note_role = error.message + "; r reads it again", "bad"
            return None

    def _below(self, name: bytes) -> bytes:
        return self.path + b"/" + name if self.path else name

    @property
    def row(self) -> Row | None:
        return next(iter(self.rows_from(self.chosen, 1)), None)

    @property
    def under_way(self) -> str | None:
        """What is said while a snapshot is being listed."""
        if not self.being_listed:
            return None
        which = self.wanted or "the snapshot"
        return (
            f"listing {which}: {words.plural(self.done, 'entry', 'entries')} …" if self.done else f"reading {which} …"
        )

    def paint(self, grid: Grid) -> None:
        snapshot = self.opened.snapshot.id if self.opened else ""
        self.header(grid, "files", snapshot)
        if self.opened is None:
            grid.put(3, 3, self.under_way or "r reads again", "muted")
            return
        self.total, self.room = self.row_count(), max(1, grid.height - (8 if grid.width >= WIDE else 12))
        self.chosen = min(max(self.chosen, 0), max(0, self.total - 1))
        self.first = max(min(self.first, self.chosen), self.chosen - self.room + 1)
        self.first = min(max(self.first, 0), max(0, self.total - self.room))
        paint_files(grid, self, self.opened.snapshot, self.desk.site.zone)

    # Keys

    def action_open(self) -> None:
        row, opened = self.row, self.opened
        if row is None or opened is None or row.entry is None:
            self.say("there is nothing to open here", "muted")
            return
        if row.entry.kind == "d" and row.how is None:
            self.found = None
            self._enter(row.entry, row.path)
            self.repaint()
            return
        acts, desk, path, digest = self.session.acts, self.desk, row.path, row.entry.sha256
        others = [each for each in reversed(opened.snapshots) if each.id != opened.snapshot.id]

        def look() -> Looked:
            return Looked(path, acts.live_file(desk, path), acts.content_in(desk, others, digest) if digest else [])

        self.live_errand.ask("live", look)

    def action_up_folder(self) -> None:
        if self.opened is None or self.here is None:
            return
        if self.step_back():
            return
        if not self.path:
            self.say("this is the top of the files; Esc goes back", "muted")
            return
        else:
            place, above = self.here.place, self.path.rpartition(b"/")[0]
            parent = self._find(above)
            if parent is not None:
                self._enter(parent, above, place)
        self.repaint()

    def step_back(self) -> bool:
        """From what was found, or differs, to the folder."""
        if self.found is None or self.here is None:
            return False
        self.found = None
        self._enter(self.here, self.path)
        self.repaint()
        return True

    def action_find(self) -> None:
        opened, here = self.opened, self.here
        if opened is None or here is None:
            self.say("the snapshot is still being listed", "muted")
            return
        acts, desk = self.session.acts, self.desk

        references = desk.site.media is not None and desk.site.media.references is not None

        def search(text: str) -> tuple[list[Row], str]:
            listing = acts.list_files(desk, opened.snapshot.id)
            self.searching = listing
            try:
                return rows_of(acts, desk, listing, text[1:]) if text[0] == "=" else named(listing, here, text)
            finally:
                self.searching = None
                listing.close()

        def answer(text: str) -> None:
            self._look_for(lambda: search(text.strip()), "searching …")

        def understood(text: str) -> tuple[bool, str]:
            if not text.startswith("="):
                more = "; =words: the files of a database row" if references else ""
                return bool(text.strip()), f"part of a name, in any case, below here{more}"
            if not references:
                return False, "the site file does not say what the database refers to: [media] references"
            return bool(text[1:].strip()), "the files that rows of the live database with these words refer to"

        self.ask(Question("find", answer, understood))

    def _look_for(self, work: Callable[[], tuple[list[Row], str]], said: str) -> None:
        """Only what was asked for last is shown; a search that is under way ends."""
        if (under_way := self.searching) is not None:
            under_way.interrupt()
        self.looked_for = object()
        self.find_errand.ask(self.looked_for, work)
        self.say(said, "muted")

    def action_difference(self) -> None:
        opened = self.opened
        if opened is None:
            self.say("the snapshot is still being listed", "muted")
            return
        acts, desk, one = self.session.acts, self.desk, opened.snapshot.id
        others = ("live", *[each.id for each in reversed(opened.snapshots) if each.id != one])

        def compare(other: str) -> tuple[list[Row], str]:
            with acts.compare_files(desk, one, other) as found:
                rows = [Row(each.path, each.path, None, each.how, each.what) for each in islice(found, MOST)]
            more = ", the first of them" if len(rows) == MOST else ""
            note = "; no content of live files is read" if other == "live" else ""
            return rows, f"{words.plural(len(rows), 'difference', 'differences')} to {other}{more}{note}"

        def answer(text: str) -> None:
            self._look_for(lambda: compare(text), "comparing …")

        def understood(text: str) -> tuple[bool, str]:
            return text in others, "live, or a snapshot's id; Tab goes through them"

        question = Question("difference to", answer, understood, "", choices=others)
        question.next_choice()
        self.ask(question)

    def action_snapshot(self, step: int) -> None:
        if self.opened is None:
            return
        ids = [each.id for each in self.opened.snapshots]
        place = ids.index(self.wanted if self.wanted in ids else self.opened.snapshot.id) + step
        if not 0 <= place < len(ids):
            self.say("this is the newest snapshot" if step > 0 else "this is the oldest snapshot", "muted")
            return
        self.wanted = ids[place]
        self.action_read_again()

    def action_restore(self) -> None:
        """Ask what: the chosen row, a folder above it, or all; then the plan, where all that follows is decided."""
        opened = self.opened
        if not self.may_act():
            return
        if opened is None:
            self.say("the snapshot is still being listed", "muted")
            return
        row, paths = self.row, [b""]
        if row is not None and row.how not in ("added", ABSENT):
            parts = row.path.split(b"/")
            paths = [b"/".join(parts[:count]) for count in range(len(parts), -1, -1)]
        choices = tuple("/" + path.decode() for path in paths if _typable(path))

        def understood(text: str) -> tuple[bool, str]:
            here = self._find(_typed(text))
            if here is None:
                return False, f"this is not in {opened.snapshot.id}; Tab goes to the folders above"
            what = "" if here.id else "all that the snapshot holds, "
            if here.kind == "d":
                what += f"{words.plural(here.files, 'file', 'files')}, "
            size = words.size(here.bytes if here.kind == "d" else here.size)
            return True, f"{what}{size}, as it was; its plan comes first"

        def answer(text: str) -> None:
            from tui.screens.files_plan import FilesPlanScreen

            self.app.push_screen(FilesPlanScreen(opened.snapshot, _typed(text).decode() or None))

        self.ask(Question("restore", answer, understood, "", TypedLine(choices[0], len(choices[0])), choices))

    def to_copy(self) -> str:
        row = self.row
        return row.path.decode("utf-8", "backslashreplace") if row is not None else ""

    def hints(self) -> Sequence[Hint]:
        return (
            self.hint("open", "open", "open"),
            self.hint("up-folder", "up", "up_folder"),
            self.hint("find", "find", "find"),
            self.hint("difference", "difference", "difference"),
            self.hint("restore-files", "restore", "restore"),
            self.hint("help", "help", "app.help"),
        )


def _typed(text: str) -> bytes:
    return text.removeprefix("/").rstrip("/").encode()


def _typable(path: bytes) -> bool:
    """Whether a path can stand in a line that is typed into, and in a plan."""
    try:
        return path.decode().isprintable()
    except UnicodeDecodeError:
        return False
