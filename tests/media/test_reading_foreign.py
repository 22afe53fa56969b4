"""What restic and borg print, as other versions printed it (recorded), and as nobody should."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.media import borg_output, restic_output
from engine.media.borg_output import Sorted, read_archives, read_names, read_said
from engine.media.catalogue import Entry
from engine.media.restic_output import Complaints, read_listing, read_progress, read_snapshots, unquoted
from engine.records.errors import DamagedCopy, RepriseError
from engine.site import MediaRepository

RESTIC = MediaRepository("restic", "/backup/restic")
BORG = MediaRepository("borg", "/backup/borg")
SNAPSHOT = """[{"time":"2026-11-23T15:01:24.424462926Z","tree":"fb5e","paths":["/srv/lab/src"],"id":"%s",
"summary":{"backup_start":"2026-11-23T15:01:24.4Z","backup_end":"2026-11-23T18:01:26.424462926+03:00",
"total_files_processed":303,"total_bytes_processed":104860494}}]"""
NODE = {
    "name": "f", "type": "file", "path": "/src/f", "uid": 1, "gid": 2, "size": 2, "mode": 420,
    "mtime": "2026-11-23T15:01:22.07600485Z", "struct_type": "node",
}  # fmt: skip
ITEM = {
    "type": "-", "mode": "-rw-r--r--", "uid": 0, "gid": 0, "path": "src/f", "healthy": True, "source": "",
    "isomtime": "2026-11-23T15:01:22.076004", "size": 8, "sha256": "a" * 64,
}  # fmt: skip


def no_trees(folder: bytes) -> list[Any]:
    raise DamagedCopy("not asked for")


def listed(lines: list[bytes], inside: str) -> list[Entry]:
    return list(read_listing(iter(lines), inside, no_trees))


def archived(lines: list[bytes], inside: str) -> list[Entry]:
    with Sorted(inside) as all:
        all.read(iter(lines))
        return list(all.entries(lambda path: b""))


def test_restics_snapshots_tell_their_interval() -> None:
    (found,) = read_snapshots((SNAPSHOT % ("95dc5219" * 8)).encode(), RESTIC, "/srv/lab/src/below")
    assert found.id == "95dc5219" and found.path.name == "95dc5219" * 8 and found.usable
    assert found.started_at == datetime(2026, 11, 23, 15, 1, 24, 400000, UTC)
    assert found.stopped_at == datetime(2026, 11, 23, 15, 1, 26, 424462, UTC)
    assert (found.files, found.size_bytes) == (303, 104860494)
    assert read_snapshots(b"null", RESTIC, "/x") == []


def test_ids_that_begin_alike_are_told_in_full() -> None:
    data = json.dumps([{"id": f"95dc5219{number}" + "0" * 55, "time": "2026-11-23T15:01:24Z"} for number in (1, 2)])
    found = read_snapshots(data.encode(), RESTIC, "/x")
    assert [len(each.id) for each in found] == [64, 64] and not any(each.usable for each in found)


def test_restics_names_are_taken_apart_as_go_wrote_them() -> None:
    assert unquoted(r"a\xff\n\t\\\"\u00fc\U0001f600" + "\u00fc") == b'a\xff\n\t\\"\xc3\xbc\xf0\x9f\x98\x80\xc3\xbc'


def test_borgs_names_are_taken_apart_wherever_their_pieces_end() -> None:
    names = [b"odd\xff", rb"a\x00b", b"\\", "ü".encode(), b"new\nline"]
    data = "".join(os.fsdecode(name) + "\0" for name in names).encode("unicode_escape")
    for size in (1, 2, 3, 5, 1000):
        blocks = (data[at : at + size] for at in range(0, len(data), size))
        assert list(read_names(blocks)) == names


def test_borgs_checkpoints_are_no_snapshots() -> None:
    one = {"id": "x", "start": "2026-11-23T15:01:37.000000", "end": "2026-11-23T15:01:38.000000"}
    all = [{**one, "name": name} for name in ("a", "b.checkpoint", "c.checkpoint.2", "d/e", "f\n")]
    found, problems = read_archives(json.dumps({"archives": all}).encode(), BORG)
    assert [each.id for each in found] == ["a"] and len(problems) == 2
    assert found[0].started_at == datetime(2026, 11, 23, 15, 1, 37, tzinfo=UTC)


def test_a_listing_that_leads_out_or_is_out_of_order_is_refused() -> None:
    top = json.dumps({**NODE, "type": "dir", "path": "/src"}).encode()
    for paths in (["/src/../x"], ["/src//x"], ["/src/b", "/src/a"], ["/src/a", "/src/a"]):
        with pytest.raises(DamagedCopy):
            listed([top, *(json.dumps({**NODE, "path": path}).encode() for path in paths)], "/src")
    for path in ("src/../x", "src//x", "src/x\0y"):
        with pytest.raises(DamagedCopy):
            archived([json.dumps({**ITEM, "path": path}).encode()], "src")


@pytest.mark.parametrize(
    "wrong", [{"size": 1 << 70}, {"size": -1}, {"uid": 1 << 40}, {"gid": -1}, {"path": "/src/f/in a file"}]
)
def test_numbers_that_no_file_has_and_a_file_that_holds_a_file_are_damage(wrong: dict[str, Any]) -> None:
    top = {**NODE, "type": "dir", "path": "/src"}
    with pytest.raises(DamagedCopy):
        listed([json.dumps(each).encode() for each in (top, NODE, {**NODE, "path": "/src/g", **wrong})], "/src")
    wrong = {name: value.lstrip("/") if name == "path" else value for name, value in wrong.items()}
    with pytest.raises(DamagedCopy):
        archived([json.dumps(each).encode() for each in (ITEM, {**ITEM, "path": "src/g", **wrong})], "src")


def test_what_restic_complains_of_costs_those_files_only() -> None:
    for line, clear in (
        (b"ignoring error for /src/bad: ReadFull: checksum", True),
        (b'{"message_type":"error","error":{"message":"no"},"during":"restore","item":"/src/bad"}', True),
        (b"something nobody has seen before", False),
    ):
        complaints = Complaints()
        complaints.hear(line)
        assert complaints.about(b"/src/bad") and complaints.about(b"/src/good") is not clear


@pytest.mark.parametrize(
    ("said", "what"),
    [(["Fatal: wrong password or no key found"], "wrong password"),
     (['{"message_type":"exit_error","code":12,"message":"Fatal: wrong password or no key found"}'], "wrong password"),
     (["repo already locked, waiting"], "locked"), (["Fatal: unable to open config file: x"], "no restic repository"),
     (['Ignoring "deadbeef": no matching ID found for prefix'], "no longer in"), ([], "restic failed")],
)  # fmt: skip
def test_restics_failures_are_explained(said: list[str], what: str) -> None:
    error = restic_output.explained("/r", 1, said)
    assert what in error.message and error.remedy


def _below(value: Any) -> Iterator[Any]:
    """A document with one of its values replaced by something else."""
    yield from (None, 5, -1, "", "x", [], {}, 1 << 70, "2026-13-45T99:00:00Z", "\ud800")
    if isinstance(value, dict):
        for key in value:
            for other in _below(value[key]):
                yield {**value, key: other}
        for key in value:
            yield {each: value[each] for each in value if each != key}
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            for other in _below(inner):
                yield [*value[:number], other, *value[number + 1 :]]


def test_documents_with_anything_else_in_them_are_damaged_copies_at_worst() -> None:
    for document in _below(json.loads(SNAPSHOT % ("ab" * 32))):
        _well_or_damaged(lambda data: read_snapshots(data, RESTIC, "/x"), document)
    for document in _below({"archives": [{"name": "a", "id": "b", "start": "2026-11-23T15:01:37", "end": "x"}]}):
        _well_or_damaged(lambda data: read_archives(data, BORG), document)
    for document in _below(NODE):
        _well_or_damaged(lambda data: listed([data], "/"), document)
        _well_or_damaged(lambda data: listed([data], "/src"), document)
        read_progress(json.dumps(document).encode())
        Complaints().hear(json.dumps(document).encode())
    for document in _below(ITEM):
        _well_or_damaged(lambda data: archived([data], "src"), document)
        read_said(json.dumps(document).encode())


def _well_or_damaged(read: Any, document: Any) -> None:
    with suppress(DamagedCopy):
        read(json.dumps(document).encode())


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_bytes_of_any_kind_are_damaged_copies_at_worst(lines: list[bytes]) -> None:
    data = b"\n".join(lines)
    for read in (
        lambda: read_snapshots(data, RESTIC, "/x"),
        lambda: read_archives(data, BORG),
        lambda: listed(lines, "/"),
        lambda: archived(lines, ""),
        lambda: list(read_names(iter(lines))),
        lambda: [read_progress(line) for line in lines],
        lambda: [restic_output.explained("/r", 1, [line.decode("utf-8", "replace")]) for line in lines],
        lambda: [borg_output.explained("/r", 2, [line.decode("utf-8", "replace")]) for line in lines],
    ):
        try:
            read()
        except RepriseError as error:
            assert isinstance(error, DamagedCopy)


def test_what_other_versions_printed_is_read() -> None:
    """Of restic 0.14 and 0.19.1, and of borg 1.2: recorded beside the project, copied here in little."""
    folder = Path(__file__).parent / "recorded"
    for name in ("restic-snapshots.json", "restic-0.19.1-snapshots.json"):
        found = read_snapshots((folder / name).read_bytes(), RESTIC, "/srv/lab/src")
        assert [each.id for each in found] == ["95dc5219", "1279d5e1"] and all(each.usable for each in found)
    entries = listed((folder / "restic-ls.jsonl").read_bytes().splitlines(), "/src")
    assert len(entries) == 28 and entries[0].path == b"a b" and entries[2].path == "a b/ünï/ f.txt".encode()
    assert entries[2].mtime_ns == 1795446082076004850 and oct(entries[0].mode) == "0o755"
    done = [read_progress(line) for line in (folder / "restic-0.19.1-restore.jsonl").read_bytes().splitlines()]
    assert done == [(1, 55902983), (308, 104860496)]
    archives, problems = read_archives((folder / "borg-list.json").read_bytes(), BORG)
    assert [each.id for each in archives] == ["a1", "a2"] and problems == []
    lines = (folder / "borg-extract-progress.jsonl").read_bytes().splitlines()
    said = [each.current for line in lines if (each := read_said(line)) is not None and each.current]
    assert said == sorted(said) and said[-1] == 104860496
