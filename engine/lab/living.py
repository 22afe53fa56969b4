"""A lab's life, compressed: copies under load, restore points, an accident, and life going on after it."""

import json
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from engine.lab import place
from engine.lab.copies import Copies, LabCopy
from engine.lab.founding import create, fill, has_git
from engine.lab.lab import Lab
from engine.lab.workload import Workload

ACCIDENT = "attachments"

Progress = Callable[[int, int, str], None]
Step = tuple[str, Callable[[], object]]


class Life:
    """What happens in one lab, and what is noted of it."""

    def __init__(self, lab: Lab, copies: Copies) -> None:
        self.lab = lab
        self.backups: list[str] = []
        self.accident: dict[str, Any] = {}
        self._copies = copies
        self._began = time.monotonic()
        self._workload: Workload | None = None

    def writers_on(self) -> None:
        self._workload = self.lab.start_workload()
        time.sleep(1)

    def writers_off(self) -> None:
        time.sleep(1)
        if self._workload is not None:
            self._workload.stop()
            self._workload = None

    def end(self) -> None:
        """Nobody works on, whatever happened."""
        if self._workload is not None:
            self._workload.kill()

    def live_until(self, second: float) -> Callable[[], None]:
        """Counted from the beginning: what a slow machine takes longer for, life is shorter by (but not below 3 s)."""
        return lambda: time.sleep(max(3, self._began + second - time.monotonic()))

    def take(self, what: LabCopy) -> Callable[[], object]:
        return lambda: self._copies.take(self.lab.site_file, what)

    def backup(self, what: LabCopy) -> Callable[[], None]:
        return lambda: self.backups.append(self._copies.take(self.lab.site_file, what))

    def restore_point(self, name: str) -> Callable[[], None]:
        def make() -> None:
            with self.lab.server.connect() as connection:
                connection.execute("SELECT pg_create_restore_point(%s)", (name,))

        return make

    def have_accident(self) -> None:
        """DROP TABLE, in the wrong window. What happened is noted outside the database."""
        with self.lab.server.connect() as connection:
            connection.execute("BEGIN")
            connection.execute(f"DROP TABLE {ACCIDENT}")
            row = connection.execute("SELECT pg_current_xact_id()::text, pg_current_wal_insert_lsn()::text").fetchone()
            connection.execute("COMMIT")
        assert row is not None
        self.accident = {"table": ACCIDENT, "at": datetime.now(UTC).isoformat(), "xid": int(row[0]), "lsn": row[1]}


def whole_day(life: Life) -> list[Step]:
    """Three base backups, two media snapshots and a dump, an accident: in less than a minute. The workload runs from
    the fifth step to the last but two."""
    lab = life.lab
    return [
        *_first_hour(life),
        ("its users start to work", life.writers_on),
        ("first base backup, plain, under load", life.backup("base-plain")),
        ("first snapshot of the files", life.take("media")),
        ("a quiet morning", life.live_until(16)),
        ("restore point: before the import", life.restore_point("before-import")),
        ("second base backup, compressed tar, under load", life.backup("base")),
        ("a busy noon", life.live_until(25)),
        ("restore point: month end", life.restore_point("month-end")),
        (f"third base backup{', incremental' if lab.programs.version >= 17 else ''}", life.backup("base-incremental")),
        ("a dump of the database", life.take("dump")),
        ("second snapshot of the files", life.take("media")),
        ("an ordinary afternoon", life.live_until(35 + random.random() * 2)),
        ("somebody makes a mistake", life.have_accident),
        ("life goes on", life.live_until(42 + random.random() * 2)),
        ("restore point: evening", life.restore_point("evening")),
        *_closing_time(life),
    ]


def until_the_drill(life: Life) -> list[Step]:
    """What each drill begins with: two base backups and two snapshots of the files, and nothing has happened yet."""
    return [
        *_first_hour(life),
        ("its users start to work", life.writers_on),
        ("first base backup, compressed tar, under load", life.backup("base")),
        ("first snapshot of the files", life.take("media")),
        ("restore point: month end", life.restore_point("month-end")),
        ("second base backup, plain, under load", life.backup("base-plain")),
        ("a dump of the database", life.take("dump")),
        ("second snapshot of the files", life.take("media")),
        *_closing_time(life),
    ]


def _first_hour(life: Life) -> list[Step]:
    return [
        ("a new cluster", lambda: create(life.lab)),
        ("the document system moves in", lambda: fill(life.lab)),
        ("its source code is copied", life.take("source") if has_git() else lambda: None),
        ("its installation is packed", life.take("image")),
    ]


def _closing_time(life: Life) -> list[Step]:
    return [
        ("the users go home", life.writers_off),
        ("the last segment is archived", lambda: archive_rest(life.lab)),
        ("its server stops", life.lab.stop_server),
    ]


def live(
    lab: Lab,
    copies: Copies,
    story: Callable[[Life], list[Step]],
    progress: Progress,
    check_signals: Callable[[], None],
) -> None:
    """A lab's whole life, step by step; in the end it is said to be finished."""
    life = Life(lab, copies)
    steps = story(life)
    try:
        for done, (what, act) in enumerate(steps):
            progress(done, len(steps), what)
            act()
            check_signals()
    finally:
        life.end()
    noted = {
        "bin_dir": lab.programs.bin_dir, "embedded": lab.programs.embedded, "run_as": lab.user.name,
        "port": lab.port, "version": lab.programs.version,
        "base_backups": life.backups, "accident": life.accident,
    }  # fmt: skip
    draft = lab.directory / f"{place.DONE}.new"
    draft.write_text(json.dumps(noted, indent=1) + "\n")
    draft.chmod(0o600)
    draft.rename(lab.directory / place.DONE)
    progress(len(steps), len(steps), "the lab is ready")


def archive_rest(lab: Lab) -> str:
    """Close the running segment and wait until the archive has it; its name."""
    with lab.server.connect() as connection:
        row = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
    assert row is not None
    last = lab.archive / str(row[0])
    lab.server.wait(last.exists, 60, f"{last.name} was not archived")
    return last.name
