"""Production's turn: its own settings, the same gate, a proven new timeline, and only then its archive command."""

import itertools
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from engine.postgres.server import Server
from engine.records.coding import to_builtins
from engine.records.errors import RunFailed
from engine.records.history import Piece
from engine.steps import gate, promote, replay, settings, take_over
from engine.steps.protocol import Stopped
from engine.steps.shared import production_settings, recovering
from tests.steps.ledger import Ledger, once
from tests.steps.origin import Rehearsal, Told, listing, own

NUMBERS = itertools.count()


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


@pytest.fixture
def switched(ledger: Ledger) -> Iterator[Callable[[], InPlace]]:
    made: list[InPlace] = []

    def switch() -> InPlace:
        cluster = ledger.origin
        root = cluster.root / f"site-{next(NUMBERS)}"
        root.mkdir()
        production, aside, archive = root / "main", root / "main.before", root / "archive"
        shutil.copytree(cluster.archive, archive)
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
        own(root, cluster.user)
        point = cluster.point(ledger.ends[len(ledger.ends) // 2].lsn)
        step = cluster.rehearse(point, f"{root.name}/container")
        settings.apply(step)
        replay.apply(step)
        recovering.stop_recovering(step)
        data_dir = Path(step.plan.layout.data_dir)  # type: ignore[union-attr]
        data_dir.rename(production)
        layout = replace(step.plan.layout, production=str(production), set_aside=str(aside))  # type: ignore[type-var]
        step.plan = replace(step.plan, layout=layout)
        server = recovering.server_of(step, production)
        site = InPlace(step, server, archive, listing(archive), point.gate)
        made.append(site)
        return site

    yield switch
    for site in made:
        recovering.stop_feed(site.step)
        site.server.stop("immediate")


def test_it_takes_over_with_productions_settings_and_archives_only_the_new_timeline(
    ledger: Ledger, switched: Callable[[], InPlace]
) -> None:
    site = switched()
    take_over.apply(site.step)
    assert site.count() == ledger.rows_before(site.gate)
    assert site.step.proofs[-1].proven and site.step.proofs[-1].new_timeline == 2
    assert site.shown("max_connections", "work_mem") == ["100", "6144"]  # never below the origin's
    assert site.shown("listen_addresses", "synchronous_standby_names", "restore_command") == ["", "", ""]
    assert site.shown("archive_mode")[0] == "on" and "cp %p" in site.shown("archive_command")[0]
    with site.server.connect() as connection:
        connection.execute("SELECT pg_switch_wal()")
    site.wait_archived()
    after = listing(site.archive)
    assert {name: after[name] for name in site.before} == site.before
    assert {name[:8] for name in set(after) - set(site.before)} == {"00000002"}
    assert "00000002.history" in after
    assert [check.ok for check in site.step.checks] == [True]


@once
def test_until_the_promotion_is_proven_there_is_no_archive_command(
    ledger: Ledger, switched: Callable[[], InPlace], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = switched()

    def die(*_: object) -> int:
        raise Stopped

    monkeypatch.setattr(take_over, "promote", die)
    with pytest.raises(Stopped):
        take_over.apply(site.step)
    assert site.shown("archive_mode", "archive_command", "restart_after_crash") == ["on", "", "off"]
    assert site.shown("recovery_target_time") == [""]


def test_killed_between_signal_file_and_history_it_returns_to_the_gate(
    ledger: Ledger, switched: Callable[[], InPlace], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = switched()

    def die(*_: object) -> int:
        site.kill()
        (site.server.data_dir / "standby.signal").unlink()
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(take_over, "promote", die)
        with pytest.raises(Stopped):
            take_over.apply(site.step)
    recovering.stop_feed(site.step)
    assert listing(site.archive) == site.before
    take_over.apply(site.step)
    assert site.count() == ledger.rows_before(site.gate)
    assert (site.step.proofs[-1].new_timeline or 0) > 1
    after = listing(site.archive)
    assert {name: after[name] for name in site.before} == site.before


@once
def test_killed_after_the_promotion_it_is_finished(
    ledger: Ledger, switched: Callable[[], InPlace], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = switched()

    def die(*_: object) -> None:
        site.kill()
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(take_over, "_give_archiving_back", die)
        with pytest.raises(Stopped):
            take_over.apply(site.step)
    recovering.stop_feed(site.step)
    assert listing(site.archive) == site.before
    take_over.apply(site.step)
    assert site.step.proofs[-1].new_timeline == 2
    assert "00000002.history" in listing(site.archive)
    take_over.apply(site.step)  # and once more: nothing changes
    assert site.step.proofs[-1].new_timeline == 2


@once
def test_opened_on_the_old_timeline_it_is_refused_and_the_archive_is_whole(
    ledger: Ledger, switched: Callable[[], InPlace], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = switched()

    def die(*_: object) -> int:
        site.kill()
        (site.server.data_dir / "standby.signal").unlink()
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(take_over, "promote", die)
        with pytest.raises(Stopped):
            take_over.apply(site.step)
    site.server.start()  # somebody's plain start
    site.server.wait_accepting()
    with pytest.raises(RunFailed, match="old timeline"):
        take_over.apply(site.step)
    assert listing(site.archive) == site.before


@once
def test_opened_to_production_its_own_settings_hold_but_gone_standbys_stay_out(
    ledger: Ledger, switched: Callable[[], InPlace]
) -> None:
    site = switched()
    take_over.apply(site.step)
    assert production_settings.open_to_production(site.step, site.server.data_dir)
    site.server.stop("fast")
    auto = (site.server.data_dir / "postgresql.auto.conf").read_text()
    assert "reprise" not in auto and "restore_command" not in auto
    assert "synchronous_standby_names = ''" in auto and "work_mem" in auto
    assert (site.server.data_dir / "pg_hba.conf").read_text() == "local all all reject\n"
    assert "listen_addresses = 'localhost'" in (site.server.data_dir / "postgresql.conf").read_text()


def test_a_later_recovery_follows_the_line_onto_the_new_timeline(
    ledger: Ledger, switched: Callable[[], InPlace]
) -> None:
    """Over the fork, and to a gate raised from the old timeline to the new one."""
    site = switched()
    take_over.apply(site.step)
    with site.server.connect() as connection:
        for number in range(1000, 1020):
            connection.execute("INSERT INTO ledger VALUES (%s, 'on the new line')", [number])
        connection.execute("SELECT pg_switch_wal()")
    site.wait_archived()
    cluster = replace(ledger.origin, archived_in=site.archive)
    later = [end for end in cluster.ends(2) if end.lsn > site.gate][10]
    start = cluster.backup.start_lsn  # type: ignore[union-attr]
    pieces = [Piece(1, start, site.gate), Piece(2, site.gate, later.lsn)]  # type: ignore[arg-type]
    over = cluster.point(later.lsn, pieces)
    early = cluster.point(ledger.ends[10].lsn)
    step = cluster.rehearse(early, f"{site.archive.parent.name}/second")
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
