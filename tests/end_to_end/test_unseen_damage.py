"""Damage in the archive that no check sees beforehand: nothing is proven, nothing is promoted, and it can be mended."""

from pathlib import Path

import pytest

from engine.records.lsn import Lsn, SegmentName, format_lsn
from engine.steps.shared.promotion import standing
from tests.clusters import Cluster
from tests.end_to_end.middle import operator_with_repository, replace_file, start_run
from tests.end_to_end.operator import operator_for
from tests.histories import History

pytestmark = pytest.mark.slow


def _damaged(kind: str, wal: Path, cluster: Cluster, gate: Lsn, kept: Lsn) -> tuple[Path, bytes]:
    """Damage in the archive: a file and what it will hold from now on. ``kept`` is a commit's record before the gate:
    it is hit where a record is."""
    size = cluster.segment_size
    number = kept // size if kind in ("flipped", "last record") else gate // size - 1
    path = wal / SegmentName(1, number).text(size)
    data = bytearray(path.read_bytes())
    if kind == "flipped":
        data[kept % size + 20] ^= 0x40  # its CRC (xlogrecord.h)
    elif kind == "truncated":
        del data[size // 2 :]
    elif kind == "another segment":
        data[:] = (wal / SegmentName(1, number - 1).text(size)).read_bytes()
    elif kind == "last record":
        data[kept % size : gate % size] = bytes(gate % size - kept % size)
    return path, bytes(data)


@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param({"flipped": "does not get past segment"}, id="flipped"),
        pytest.param({"last record": "does not get past segment"}, id="last record"),
        pytest.param(  # of one segment, one after the other
            {
                "truncated": "waiting: segment",
                "another segment": "holds another place of the WAL",
                "gone": "is not in the archive",
            },
            id="truncated, another segment, gone",
        ),
    ],
)
def test_damage_after_the_planning_is_never_proven_nor_promoted(
    history: History, open_dir: Path, kinds: dict[str, str]
) -> None:
    operator = operator_with_repository(history.cluster, open_dir)
    commits = [end for end in history.cluster.ends(1) if end.kind == "COMMIT" and end.lsn < history.before_accident]
    kept, lost = commits[-30 if "flipped" in kinds else -3].lsn, commits[-2].lsn
    damages = {kind: _damaged(kind, open_dir / "repository" / "wal", history.cluster, lost, kept) for kind in kinds}
    first, (path, data) = next(iter(damages.items()))
    whole = path.read_bytes()
    run = start_run(
        operator, "--lsn", format_lsn(lost), "--exclusive", "--timeline", "1", "--backup", "1-plain",
        "--into", operator.copy_to(), meanwhile=lambda: replace_file(path, data),
    )  # fmt: skip
    for kind, word in kinds.items():
        if kind == "gone":
            path.unlink()
        elif kind != first:
            replace_file(*damages[kind])
        assert path.name in run.wait_for_words(word)
    state = run.state
    assert state.outcome == "running"
    assert state.reached is None or not state.reached.proven
    operator.ask("cancel", run.name, "--yes", expect=0)
    report = operator.ask("report", run.name, expect=0).document
    assert report["outcome"] == "interrupted"
    assert standing(Path(report["data_dir"]), 1) == "behind the gate"
    path.write_bytes(whole)
    report = operator.ask("resume", run.name, "--yes", expect=0).document
    assert report["outcome"] == "completed"
    assert report["reached"]["proven"] is True
    assert operator.rows(report) == history.cluster.rows_before(lost, 1)


def test_damage_found_in_place_leaves_production_running_and_untouched(cluster: Cluster, open_dir: Path) -> None:
    cluster.write(20, seed=1)
    cluster.base_backup("one")
    cluster.write(20, seed=2)
    cluster.sql("SELECT pg_switch_wal()")
    cluster.write(20, seed=3)
    cluster.switch()
    operator = operator_for(cluster, open_dir)
    commits = [end for end in cluster.ends(1) if end.kind == "COMMIT"]
    last = commits[-1]
    path, data = _damaged("flipped", cluster.archive, cluster, last.lsn, commits[-30].lsn)
    whole, neighbours = path.read_bytes(), sorted(path.name for path in cluster.root.iterdir())
    inode, server = cluster.data_dir.stat().st_ino, cluster.server.pid()
    run = start_run(operator, "--lsn", format_lsn(last.lsn), "--in-place", meanwhile=lambda: replace_file(path, data))
    run.wait_for_words("does not get past segment")
    operator.ask("cancel", run.name, "--yes", expect=0)
    assert (cluster.data_dir.stat().st_ino, cluster.server.pid()) == (inode, server)
    assert {row[0] for row in cluster.sql("SELECT id FROM ledger")} == {row.id for row in cluster.rows}
    operator.ask("rollback", run.name, "--yes", expect=0)
    assert (cluster.data_dir.stat().st_ino, cluster.server.pid()) == (inode, server)
    assert sorted(path.name for path in cluster.root.iterdir()) == neighbours
    replace_file(path, whole)
