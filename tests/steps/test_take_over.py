"""Production's turn: its own settings, the same gate, a proven new timeline, and only then its archive command."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.postgres.server import Server
from engine.records.coding import to_builtins
from engine.records.errors import RunFailed
from engine.records.history import Piece
from engine.steps import gate, promote, replay, settings, take_over
from engine.steps.protocol import Stopped
from engine.steps.shared import production_settings, recovering
from tests.clusters import own
from tests.steps.ledger import Ledger, once
from tests.steps.origin import listing
from tests.steps.rehearsal import Rehearsal, Told


@dataclass
class InPlace:
    """A copy that was switched over: it stands in production's place, what stood there is set aside."""

    step: Rehearsal
    server: Server
    archive: Path
    before: dict[str, tuple[int, int]]
    gate: int

    def shown(self, *names: str) -> list[str]:
        with self.server.connect() as connection:
            rows = dict(connection.execute("SELECT name, setting FROM pg_settings").fetchall())
        return [rows[name] for name in names]

    def count(self) -> int:
        with self.server.connect() as connection:
            row = connection.execute("SELECT count(*) FROM ledger").fetchone()
        return int(row[0]) if row else -1

    def wait_archived(self) -> None:
        """Until the first segment of the new timeline is in the archive."""
        self.server.wait(
            lambda: any(name.startswith("00000002") and len(name) == 24 for name in listing(self.archive)),
            20,
            "archive",
        )

    def kill(self) -> None:
        os.kill(self.server.pid() or 0, signal.SIGKILL)
        self.server.wait(lambda: not self.server.processes(), 20, "it lives")

    def kill_in_promotion(self) -> None:
        """As PostgreSQL leaves it when it is killed between removing the signal file and writing the history."""
        self.kill()
        (self.server.data_dir / "standby.signal").unlink()

    def take_over_until(self, function: str, last_act: Callable[[], None] = lambda: None) -> None:
        """The run dies where its step calls this function, after one last act."""

        def die(*_: object) -> None:
            last_act()
            raise Stopped

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(take_over, function, die)
            with pytest.raises(Stopped):
                take_over.apply(self.step)
        recovering.stop_feed(self.step)


@pytest.fixture
def site(ledger: Ledger, open_dir: Path) -> Iterator[InPlace]:
    root = open_dir / "site"
    root.mkdir()
    production, aside, archive = root / "main", root / "main.before", ledger.origin.archive
    aside.mkdir()
    (aside / "conf.d").mkdir()
    (aside / "conf.d" / "more.conf").write_text("work_mem = '5MB'\n")
    (aside / "postgresql.conf").write_text(
        f"archive_mode = on\narchive_command = 'test ! -f {archive}/%f && cp %p {archive}/%f'\n"
        "max_connections = 33\nshared_buffers = 16MB\nlisten_addresses = 'localhost'\nfsync = off\n"
        "synchronous_standby_names = 'gone'\nrecovery_target_time = '2001-01-01 00:00:00+00'\n"
        "include_dir = 'conf.d'\nmax_prepared_transactions = 1\n"
    )
    (aside / "postgresql.auto.conf").write_text("restore_command = 'false'\nwork_mem = '6MB'\n")
    (aside / "pg_hba.conf").write_text("local all all reject\n")
    (aside / "pg_ident.conf").write_text("")
    own(root, ledger.origin.cluster.user)
    point = ledger.origin.point(ledger.ends[len(ledger.ends) // 2].lsn)
    step = ledger.origin.rehearse(point, root / "container")
    settings.apply(step)
    replay.apply(step)
    recovering.stop_recovering(step)
    data_dir = Path(step.plan.layout.data_dir)  # type: ignore[union-attr]
    data_dir.rename(production)
    layout = replace(step.plan.layout, production=str(production), set_aside=str(aside))  # type: ignore[type-var]
    step.plan = replace(step.plan, layout=layout)
    server = recovering.server_of(step, production)
    try:
        yield InPlace(step, server, archive, listing(archive), point.gate)
    finally:
        recovering.stop_feed(step)
        server.stop("immediate")


def test_it_takes_over_with_productions_settings_and_archives_only_the_new_timeline(
    ledger: Ledger, site: InPlace
) -> None:
    take_over.apply(site.step)
    assert site.count() == ledger.rows_before(site.gate)
    assert site.step.proofs[-1].proven and site.step.proofs[-1].new_timeline == 2
    assert site.shown("max_connections", "work_mem") == ["100", "6144"]  # never below the origin's
    assert site.shown("listen_addresses", "synchronous_standby_names") == ["", ""]
    assert site.shown("archive_mode")[0] == "on" and "cp %p" in site.shown("archive_command")[0]
    with site.server.connect() as connection:
        # Before PostgreSQL 14 only the next start makes it empty.
        gone = "SELECT setting = '' OR pending_restart FROM pg_settings WHERE name = 'restore_command'"
        assert connection.execute(gone).fetchall() == [(True,)]
        connection.execute("SELECT pg_switch_wal()")
    site.wait_archived()
    after = listing(site.archive)
    assert {name: after[name] for name in site.before} == site.before
    assert {name[:8] for name in set(after) - set(site.before)} == {"00000002"}
    assert "00000002.history" in after
    assert [check.ok for check in site.step.checks] == [True]


@once
def test_until_the_promotion_is_proven_there_is_no_archive_command(site: InPlace) -> None:
    site.take_over_until("promote")
    assert site.shown("archive_mode", "archive_command", "restart_after_crash") == ["on", "", "off"]
    assert site.shown("recovery_target_time") == [""]


def test_killed_between_signal_file_and_history_it_returns_to_the_gate(ledger: Ledger, site: InPlace) -> None:
    site.take_over_until("promote", site.kill_in_promotion)
    assert listing(site.archive) == site.before
    take_over.apply(site.step)
    assert site.count() == ledger.rows_before(site.gate)
    assert (site.step.proofs[-1].new_timeline or 0) > 1
    after = listing(site.archive)
    assert {name: after[name] for name in site.before} == site.before


@once
def test_killed_after_the_promotion_it_is_finished(site: InPlace) -> None:
    site.take_over_until("_give_archiving_back", site.kill)
    assert listing(site.archive) == site.before
    take_over.apply(site.step)
    assert site.step.proofs[-1].new_timeline == 2
    assert "00000002.history" in listing(site.archive)
    take_over.apply(site.step)  # and once more: nothing changes
    assert site.step.proofs[-1].new_timeline == 2


@once
def test_opened_on_the_old_timeline_it_is_refused_and_the_archive_is_whole(site: InPlace) -> None:
    site.take_over_until("promote", site.kill_in_promotion)
    site.server.start()  # somebody's plain start
    site.server.wait_accepting()
    with pytest.raises(RunFailed, match="old timeline"):
        take_over.apply(site.step)
    assert listing(site.archive) == site.before


@once
def test_opened_to_production_its_own_settings_hold_but_gone_standbys_stay_out(site: InPlace) -> None:
    take_over.apply(site.step)
    assert production_settings.open_to_production(site.step, site.server.data_dir)
    site.server.stop("fast")
    auto = (site.server.data_dir / "postgresql.auto.conf").read_text()
    assert "reprise" not in auto and "restore_command" not in auto
    assert "synchronous_standby_names = ''" in auto and "work_mem" in auto
    assert (site.server.data_dir / "pg_hba.conf").read_text() == "local all all reject\n"
    assert "listen_addresses = 'localhost'" in (site.server.data_dir / "postgresql.conf").read_text()


def test_a_later_recovery_follows_the_line_onto_the_new_timeline(ledger: Ledger, site: InPlace, open_dir: Path) -> None:
    """Over the fork, and to a gate raised from the old timeline to the new one."""
    take_over.apply(site.step)
    with site.server.connect() as connection:
        for number in range(1000, 1020):
            connection.execute("INSERT INTO ledger VALUES (%s, 'on the new line')", [number])
        connection.execute("SELECT pg_switch_wal()")
    site.wait_archived()
    origin = ledger.origin
    later = [end for end in origin.ends(2) if end.lsn > site.gate][10]
    over = origin.point(later.lsn, [Piece(1, origin.start, site.gate), Piece(2, site.gate, later.lsn)])
    early = origin.point(ledger.ends[10].lsn)
    step = origin.rehearse(early, open_dir / "second")
    try:
        settings.apply(step)
        replay.apply(step)
        step.answers = [Told("advance", to_builtins(over)), Told("finish")]
        gate.apply(step)
        assert step.proofs[-1].proven and step.proofs[-1].timeline == 2, step.proofs[-1].finding
        assert step.rows("SELECT count(*) FROM ledger") == [(ledger.rows_before(site.gate) + 10,)]
        promote.apply(step)
        assert step.proofs[-1].new_timeline == 3
    finally:
        step.end()
