"""The stand-in's users' files: real listings of two invented snapshots."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.acts import Desk, Difference, Entry, Listing, Reference
from engine.acts.browsing import snapshot_at
from engine.media.differing import differences
from engine.media.listing import build_listing, open_listing
from engine.media.planning import FilesAsked
from engine.media.planning import plan_files as make_files_plan
from engine.media.selecting import Selected
from engine.records.copies import MediaSnapshot
from engine.records.plan import Plan
from engine.records.survey import FileSystem
from engine.records.target import RecoveryTarget
from tests.tui.history import NOW, utc


def entries(day: int) -> list[Entry]:
    """The files of a snapshot; from the 23rd on, one more, and one that has changed."""
    found = [
        Entry("f", f"{month}{number:02d}".rjust(64, "a"), 1000 * number + month, int(utc(3, 9).timestamp()) * 10**9,
              0o640, 1001, 1001, f"2026/{month:02d}/{number:02d}/invoice-{number}.pdf".encode())
        for month in (9, 10, 11) for number in range(1, 31)
    ]  # fmt: skip
    found.append(found[0]._replace(path=b"2026/11/x\x1b[31m\xff.pdf"))
    if day >= 23:
        found.append(found[0]._replace(path=b"2026/12-new.pdf"))
        found[0] = found[0]._replace(size=5, sha256="b" * 64)
    return sorted(found, key=lambda entry: entry.key)


class StandInFiles:
    """What the files screen asks of `engine.acts`."""

    asked: list[tuple[Any, ...]]
    snapshot_at = staticmethod(snapshot_at)

    def file_snapshots(self, desk: Desk) -> list[MediaSnapshot]:
        return [
            MediaSnapshot(f"m{day}", "main", Path("/m"), utc(day, 4), utc(day, 4, 38), 88 << 30, 50_000)
            for day in (21, 22, 23)
        ]

    def list_files(self, desk: Desk, snapshot: str, progress: object = None) -> Listing:
        with tempfile.TemporaryDirectory() as folder:  # an open SQLite file stays readable without its name
            path = Path(folder) / "files" / "one.sqlite"
            build_listing(path, snapshot, entries(int(snapshot[1:])))
            found = open_listing(path, snapshot)
            assert found is not None
            return found

    @contextmanager
    def compare_files(self, desk: Desk, a: str, b: str) -> Iterator[Iterator[Difference]]:
        before, after = (entries(23 if each == "live" else int(each[1:])) for each in (a, b))
        yield differences(before, after)

    def plan_files(
        self,
        desk: Desk,
        target: RecoveryTarget | None,
        *,
        into: Path | None = None,
        delta: bool = False,
        only: str | None = None,
        snapshot: str | None = None,
    ) -> Plan:
        self.asked.append(("plan_files", snapshot, only, into, delta))
        (chosen,) = (each for each in self.file_snapshots(desk) if each.id == snapshot)
        asked = FilesAsked(
            site=desk.site.name,
            live="/srv/orders/media",
            place="into" if into else "delta" if delta or only else "beside",
            into=str(into) if into else None,
            asked=None,
            fast=False,
            only=only,
            live_exists=True,
            mounted=False,
            into_free=True,
            room=FileSystem("/srv/orders", "/srv/orders", 1, "/srv", 612 << 30, 900 << 30, True),
            writable=True,
            has_application=True,
            selected=Selected(1, 48_213) if only else None,
        )
        return make_files_plan(asked, target, None, (chosen,), now=NOW)

    def files_of_rows(self, desk: Desk, text: str) -> tuple[list[Reference], bool]:
        self.asked.append(("files_of_rows", text))
        row = '{"id":17,"title":"Card 7"}'
        return [Reference(path, None, None, 1, row) for path in (b"2026/11/04/invoice-4.pdf", b"2026/lost.pdf")], True

    def content_in(
        self, desk: Desk, snapshots: list[MediaSnapshot], sha256: bytes
    ) -> list[tuple[str, list[bytes] | None]]:
        def paths(day: int) -> list[bytes]:
            return [each.path for each in entries(day) if each.sha256 and bytes.fromhex(each.sha256) == sha256]

        return [(each.id, None if each.id == "m21" else paths(int(each.id[1:]))) for each in snapshots]

    def live_file(self, desk: Desk, path: bytes) -> Entry | None:
        return next((each for each in entries(23) if each.path == path), None)
