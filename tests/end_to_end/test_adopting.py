"""An unfinished segment adopted into the archive: what the stream brought last, once its server is gone."""

import gzip
import os
import shutil
import signal
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lz4.frame
import pytest

from engine.acts import look, open_desk, read_archive
from engine.archiving.adopting import adopt
from engine.archiving.unfinished import Unfinished, read_unfinished
from engine.records.errors import RepriseError
from engine.records.lsn import Lsn, parse_lsn
from engine.run.locks import site_lock, take_lock
from engine.system.users import give as own
from engine.wal.index import WalIndex
from tests.clusters import Cluster, kill_processes_below, make_cluster, wait_until
from tests.end_to_end.mounts import MB, fill_disk, small_disk
from tests.end_to_end.operator import Operator, operator_for
from tests.end_to_end.streaming import STREAMED_ALL, receivers, streaming


def streamed(operator: Operator) -> None:
    """A base backup, a whole segment behind it, and in mid-segment the last row that the stream brought; then server
    and stream are killed."""
    cluster = operator.cluster
    cluster.base_backup("b1")
    cluster.sql("CREATE TABLE ledger (id int)")
    cluster.switch()
    cluster.sql("ALTER SYSTEM SET archive_mode = off")
    cluster.stop()
    cluster.start()
    with streaming(operator) as stream:
        before = set(cluster.segments())
        cluster.sql("INSERT INTO ledger SELECT 1")
        cluster.sql("SELECT pg_switch_wal()")
        wait_until(lambda: set(cluster.segments()) > before, "no segment arrives")
        for id in range(2, 40):
            cluster.sql(f"INSERT INTO ledger SELECT {id}")
        wait_until(lambda: bool(cluster.value(STREAMED_ALL)), "the stream stays behind")
        kill_processes_below(cluster.data_dir)
        stream.kill()


def unfinished(cluster: Cluster) -> Path:
    (path,) = cluster.archive.glob("*.partial*")
    return path


def partial_check(document: dict[str, Any]) -> dict[str, Any]:
    check: dict[str, Any] = next(each for each in document["checks"] if each["name"] == "partial-segment")
    return check


def test_what_was_streamed_last_is_shown_adopted_and_restored(cluster: Cluster, open_dir: Path) -> None:
    operator = operator_for(cluster, open_dir)
    streamed(operator)
    cluster.data_dir.rename(open_dir / "the dead disk")
    path = unfinished(cluster)
    before, listed = path.read_bytes(), sorted(path.name for path in cluster.archive.iterdir())

    to = ("--into", operator.copy_to())
    planned = operator.ask("plan", "--latest", *to, expect=0).document
    check = partial_check(planned)
    assert f"{path.name} holds 38 commits more until " in check["finding"]
    assert "reprise archiving adopt" in check["remedy"]

    shown = operator.ask("archiving", "adopt", expect=0).document
    assert shown["applied"] is False
    (adopted,) = shown["adopt"]
    assert (adopted["segment"], adopted["path"]) == (path.stem, str(path))
    assert (adopted["commits"], adopted["ended_by"]) == (38, None)
    assert "no server may write timeline 1 any more" in shown["findings"][0]
    assert sorted(path.name for path in cluster.archive.iterdir()) == listed
    assert operator.ask("archiving", "adopt", "--apply").code == 2  # without a terminal nothing asks
    assert sorted(path.name for path in cluster.archive.iterdir()) == listed

    done = operator.ask("archiving", "adopt", "--apply", "--yes", expect=0).document
    assert done["applied"] and done["adopt"] == [adopted]
    segment = path.with_suffix("")
    assert sorted(path.name for path in cluster.archive.iterdir()) == sorted([*listed, segment.name])
    assert path.read_bytes() == before
    assert segment.stat().st_size == cluster.segment_size
    neighbour = (cluster.archive / cluster.segments()[-2]).stat()
    assert segment.stat().st_mode == neighbour.st_mode
    assert (segment.stat().st_uid, segment.stat().st_gid) == (neighbour.st_uid, neighbour.st_gid)

    again = operator.ask("archiving", "adopt", expect=0).document
    assert again["adopt"] == [] and "is in the archive" in again["leave"][0]["why"]
    catalog = operator.ask("catalog", expect=0).document
    assert catalog["wal_ranges"][-1]["last_commit_at"] == adopted["last_commit_at"]
    assert operator.ask("windows").document["windows"][-1]["to"]["at"] == adopted["last_commit_at"]
    assert operator.ask("verify", "wal", expect=0).document["results"][0]["ok"]
    report = operator.ask("restore", "--latest", *to, "--yes", expect=0).document
    assert report["reached"]["last_commit_at"] == adopted["last_commit_at"]
    assert operator.rows(report) == set(range(1, 40))


@pytest.fixture(scope="module")
def died() -> Iterator[Cluster]:
    """A cluster that died with its stream: nobody may change its archive."""
    cluster = make_cluster("died")
    with tempfile.TemporaryDirectory(dir=cluster.root) as home:
        streamed(operator_for(cluster, Path(home)))
    yield cluster
    cluster.destroy()


@pytest.fixture
def alone(died: Cluster, open_dir: Path) -> Operator:
    """An operator of what is left of it: the base backup, and an archive of his own."""
    return operator_of(died, open_dir, open_dir / "wal")


def operator_of(died: Cluster, home: Path, archive: Path) -> Operator:
    shutil.copytree(died.archive, archive, dirs_exist_ok=True)
    own(archive, died.user)
    operator = operator_for(died, home)
    text = operator.site.read_text().replace(str(died.archive), str(archive))
    operator.site.write_text(text.replace(str(died.data_dir), str(home / "the dead disk")))
    return operator


def names(operator: Operator) -> list[str]:
    return sorted(path.name for path in archive_of(operator).iterdir())


def archive_of(operator: Operator) -> Path:
    return operator.home / "wal"


def partial_of(operator: Operator) -> Path:
    (path,) = archive_of(operator).glob("*.partial*")
    return path


def adopted(operator: Operator) -> dict[str, Any]:
    document = operator.ask("archiving", "adopt", "--apply", "--yes", expect=0).document
    assert len(document["adopt"]) == 1, document
    return dict(document["adopt"][0])


def left(operator: Operator) -> str:
    """Why the only unfinished segment is not adopted; nothing is written then."""
    before = names(operator)
    document = operator.ask("archiving", "adopt", "--apply", "--yes", expect=0).document
    assert document["adopt"] == [] and names(operator) == before
    return str(document["leave"][0]["why"])


def test_of_a_damaged_one_only_what_is_sound_is_adopted(alone: Operator) -> None:
    path = partial_of(alone)
    whole = alone.ask("archiving", "adopt", expect=0).document["adopt"][0]
    end = parse_lsn(whole["end_lsn"]) % MB
    content = bytearray(path.read_bytes())
    content[end // 2] ^= 1
    path.write_bytes(content)
    found = adopted(alone)
    assert 0 < found["commits"] < whole["commits"]
    assert "at " in found["ended_by"]
    sound = parse_lsn(found["end_lsn"]) % MB
    assert path.with_suffix("").read_bytes() == content[:sound] + bytes(MB - sound)
    window = alone.ask("windows", expect=0).document["windows"][-1]
    assert window["to"]["at"] == found["last_commit_at"]


def gzip_unfinished(content: bytes) -> bytes:
    packing = zlib.compressobj(wbits=31)
    return packing.compress(content) + packing.flush(zlib.Z_SYNC_FLUSH)  # as pg_receivewal leaves it when it is killed


def lz4_unfinished(content: bytes) -> bytes:
    packing = lz4.frame.LZ4FrameCompressor()
    return bytes(packing.begin() + packing.compress(content) + packing.flush())[:-4]


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".gz.partial", gzip_unfinished),
        (".lz4.partial", lz4_unfinished),
        (".partial.gz", gzip.compress),  # of a promoted server's archive command that packs
        (".partial", gzip.compress),
    ],
)
def test_a_packed_one_is_unpacked_as_far_as_it_goes(
    alone: Operator, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    path = partial_of(alone)
    segment = path.with_suffix("")
    whole = alone.ask("archiving", "adopt", expect=0).document["adopt"][0]
    content = path.read_bytes()
    path.unlink()
    packed = segment.with_name(segment.name + suffix)
    received = content[: parse_lsn(whole["end_lsn"]) % MB]
    packed.write_bytes(pack(received))
    assert any(problem["where"] == str(packed) for problem in alone.ask("catalog").document["problems"])
    found = adopted(alone)
    assert found == {**whole, "path": str(packed)}
    assert segment.read_bytes() == received + bytes(MB - len(received))


def test_an_adopted_one_that_rots_is_found(alone: Operator) -> None:
    path = partial_of(alone)
    content, rotten = path.read_bytes(), bytearray(path.read_bytes())
    rotten[2000] ^= 1
    path.write_bytes(rotten)
    border = parse_lsn(alone.ask("archiving", "adopt", expect=0).document["adopt"][0]["end_lsn"]) % MB
    path.write_bytes(content)
    adopted(alone)
    segment = path.with_suffix("")

    def findings(code: int) -> list[str]:
        (proof,) = alone.ask("verify", "wal", expect=code).document["results"]
        return list(proof["findings"])

    assert findings(0) == []
    segment.write_bytes(content[:border] + bytes(MB - border))  # as if no more had been adopted
    assert findings(1) == [f"{segment}: it ends before {path.name} does, which was adopted"]
    segment.write_bytes(rotten)
    assert len(findings(1)) == 1 and segment.name in findings(1)[0]


def test_what_continues_nothing_or_holds_nothing_is_left(alone: Operator) -> None:
    path = partial_of(alone)
    content = path.read_bytes()
    path.write_bytes(b"")  # as `archiving stream --accept-gap` begins
    assert "empty" in left(alone)
    path.write_bytes(bytes(MB))
    assert "zeroed" in left(alone)
    path.write_bytes(content[:24] + b"\x07" + content[25:])
    assert "another cluster" in left(alone)
    path.write_bytes(content)
    before = archive_of(alone) / f"{path.name[:16]}{int(path.name[16:24], 16) - 1:08X}"
    kept = before.rename(alone.home / "kept")
    assert f"{before.name} is not in the archive" in left(alone)
    shutil.copy(kept, before)
    path.rename(path.with_name(f"{path.name[:16]}{int(path.name[16:24], 16) + 1:08X}.partial"))
    assert f"{path.stem} is not in the archive" in left(alone)


def read(operator: Operator, *backups: tuple[int, Lsn]) -> Unfinished:
    """The unfinished segment as it is judged."""
    desk = open_desk(operator.site, operator.home / "state")
    read_archive(desk)
    (index,) = look(desk).histories.values()
    assert isinstance(index, WalIndex)
    scratch = operator.home / "scratch"
    scratch.mkdir()
    (found,) = read_unfinished(index, str(archive_of(operator)), backups, scratch)
    return found


def test_before_it_there_may_be_nothing_but_a_base_backup_that_starts_in_it(alone: Operator) -> None:
    """As one of a standby does: it switches no segment."""
    (whole,) = alone.ask("archiving", "adopt", expect=0).document["adopt"]
    for each in archive_of(alone).glob("*[0-9A-F]"):
        each.unlink()
    end = parse_lsn(whole["end_lsn"])
    found = read(alone, (1, end - end % MB + 40))
    assert (found.told.why_not, found.told.commits, found.told.end_lsn) == (None, 38, end)


def test_nothing_is_replaced_and_what_changes_meanwhile_is_not_adopted(alone: Operator) -> None:
    found = read(alone)
    target = found.told.path.with_suffix("")
    target.write_bytes(b"the true one")
    before = names(alone)
    with pytest.raises(RepriseError, match="there already"):
        adopt(found)
    assert target.read_bytes() == b"the true one" and names(alone) == before
    assert "is in the archive" in left(alone)
    target.unlink()
    with found.told.path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\0")
    with pytest.raises(RepriseError, match="changed while"):
        adopt(found)
    assert names(alone) == [name for name in before if name != target.name]
    target.with_name(f".draft-adopted-{target.name}").write_bytes(b"of an adoption that was killed")
    assert adopted(alone)["commits"] == 38
    assert names(alone) == before


def test_a_full_disk_leaves_nothing_half(died: Cluster, open_dir: Path) -> None:
    with small_disk(open_dir / "wal", open_dir / "disk.img", 40) as disk:
        operator = operator_of(died, open_dir, disk)
        ballast = fill_disk(disk, leave=MB // 2)
        before = names(operator)
        failed = operator.ask("archiving", "adopt", "--apply", "--yes", expect=1)
        assert "No space left" in failed.errors and "nothing was changed" in failed.errors
        assert names(operator) == before
        ballast.unlink()
        assert adopted(operator)["commits"] == 38


def test_a_run_that_holds_the_site_is_waited_for(alone: Operator) -> None:
    lock = take_lock(site_lock(alone.home / "state", "archive"), "20261127T000000Z-archive", "")
    before = names(alone)
    refused = alone.ask("archiving", "adopt", "--apply", "--yes", expect=1)
    assert "a run holds the site" in refused.errors and names(alone) == before
    lock.release()
    assert adopted(alone)["commits"] == 38


def test_it_is_refused_as_long_as_the_segment_may_still_come(cluster: Cluster, open_dir: Path) -> None:
    operator = operator_for(cluster, open_dir)
    cluster.base_backup("b1")
    cluster.switch()
    cluster.sql("CREATE TABLE ledger (id int)")
    cluster.sql("ALTER SYSTEM SET archive_mode = off")
    cluster.stop()
    cluster.start()

    def refused() -> dict[str, Any]:
        before = sorted(cluster.archive.iterdir())
        for words in ((), ("--apply", "--yes")):
            document = operator.ask("archiving", "adopt", *words, expect=3).document
        assert sorted(cluster.archive.iterdir()) == before and document["adopt"] == []
        (found,) = [each for each in document["leave"] if each["refused"]]
        return dict(found)

    with streaming(operator) as stream:
        cluster.sql("INSERT INTO ledger VALUES (1)")
        wait_until(lambda: bool(cluster.value(STREAMED_ALL)), "the stream stays behind")
        told = refused()
        assert "answers, on timeline 1" in told["why"]
        assert "restore --latest --in-place" in told["remedy"]
        kill_processes_below(cluster.data_dir)
        wait_until(lambda: cluster.server.pid() is None, "the server lives")
        assert "a stream still runs" in refused()["why"]
        stream.kill()
        for pid in receivers(cluster):
            os.kill(pid, signal.SIGKILL)
    told = refused()
    assert "pg_wal has this segment too" in told["why"] and f"rename {cluster.data_dir}" in told["remedy"]
    noted = (cluster.data_dir / "pg_hba.conf").read_text()
    (cluster.data_dir / "pg_hba.conf").write_text("local all all reject\n")
    cluster.server.start()
    wait_until(lambda: "reject" in refused()["why"], "it is not seen that a server is there")
    (cluster.data_dir / "pg_hba.conf").write_text(noted)
    cluster.stop()
    cluster.data_dir.rename(open_dir / "never again")
    found = adopted(operator)
    assert found["commits"] >= 1


def test_what_a_promotion_leaves_stays_on_its_own_timeline(cluster: Cluster, open_dir: Path) -> None:
    """The server that was promoted lives, and is no danger: it never writes the old timeline again."""
    cluster.base_backup("b1")
    cluster.sql("CREATE TABLE ledger (id int)")
    cluster.switch()
    cluster.sql("INSERT INTO ledger VALUES (1)")
    fork = cluster.value("SELECT pg_current_wal_insert_lsn()::text")
    cluster.sql("INSERT INTO ledger VALUES (2)")
    cluster.sql("INSERT INTO ledger VALUES (3)")
    last = cluster.switch()
    never_came = (cluster.archive / last).rename(cluster.backups / "b1" / "pg_wal" / last)  # of a dead server's pg_wal
    cluster.promote_new_timeline("b1", {"recovery_target_lsn": fork})
    never_came.unlink()
    operator = operator_for(cluster, open_dir)  # of the data directory that was promoted
    partial = cluster.archive / f"{last}.partial"
    wait_until(partial.exists, "the promoted server archives no partial segment")
    cluster.sql("INSERT INTO ledger VALUES (4)")
    cluster.switch()
    newest = operator.ask("plan", "--latest", "--into", operator.copy_to(), expect=0).document
    found = adopted(operator)
    assert (found["timeline"], found["commits"]) == (1, 2)  # what was before the fork is in the new timeline's too
    after = operator.ask("plan", "--latest", "--into", operator.copy_to(), expect=0).document
    assert after["timeline"] == 2 and after["kept_until"] == newest["kept_until"]
    old = ("--latest", "--timeline", "1", "--into", operator.copy_to())
    assert operator.rows(operator.ask("restore", *old, "--yes", expect=0).document) == {1, 2, 3}


def test_what_production_still_had_beyond_it_is_salvaged(cluster: Cluster, open_dir: Path) -> None:
    """Its disk was thought dead when the segment was adopted."""
    operator = operator_for(cluster, open_dir)
    streamed(operator)
    cluster.start()
    cluster.sql("INSERT INTO ledger VALUES (40)")
    kill_processes_below(cluster.data_dir)
    away = cluster.data_dir.rename(open_dir / "away")
    assert adopted(operator)["commits"] == 38
    away.rename(cluster.data_dir)
    planned = operator.ask("plan", "--latest", "--in-place", expect=0).document
    tail = next(each["finding"] for each in planned["checks"] if each["name"] == "unarchived-tail")
    assert "one segment of production's pg_wal is not archived" in tail
    report = operator.ask("restore", "--latest", "--in-place", "--yes", expect=0).document
    assert report["reached"]["proven"]
    assert {row for (row,) in cluster.sql("SELECT id FROM ledger")} == set(range(1, 41))
