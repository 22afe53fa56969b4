"""`files lost` as it is typed: what a run could not bring back, for people, as CSV and as JSON; no server is needed."""

import csv
import io
import json
import os
from collections.abc import Callable

import pytest

from engine import cli
from engine.cli import files_lost
from tests.acts.sites import MediaSite, fill, make_site

Typed = Callable[..., tuple[int, bytes, str]]
LOST = ["1/1.pdf", "2/2.pdf", "x\x1b[31m", os.fsdecode(b"\xff")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> MediaSite:
    """Most files are gone from the only snapshot, and a run has brought back what is left."""
    site = make_site(tmp_path_factory.mktemp("lost"))
    fill(site.live, 3)
    for name in LOST[2:]:
        (site.live / name).write_bytes(name.encode("utf-8", "surrogateescape"))
    site.snapshot()
    (taken,) = (each for each in (site.home / "copies").iterdir() if each.is_dir())
    for name in LOST:
        (taken / name).unlink()
        (site.live / name).unlink()
    assert site.restore(into=site.home / "into").outcome == "completed"
    return site


@pytest.fixture
def typed(site: MediaSite, capfdbinary: pytest.CaptureFixture[bytes]) -> Typed:
    def typed(*words: str) -> tuple[int, bytes, str]:
        options = ["--site", str(site.home / "site.toml"), "--state", str(site.home / "state")]
        code = cli.main([*options, "files", "lost", *words], open_screen=lambda *_: 0)
        said = capfdbinary.readouterr()
        return code, said.out, said.err.decode()

    return typed


def test_each_is_a_line_and_its_name_does_nothing_to_the_terminal(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said, _ = typed("latest")
    lines = said.decode().splitlines()
    assert code == 0 and [line.split()[0] for line in lines] == ["1/1.pdf", "2/2.pdf", r"x\x1b[31m", r"\xff"]
    monkeypatch.setattr(files_lost, "_SHOWN", 2)
    assert typed("latest")[1].decode().splitlines()[2:] == ["and 2 more; --csv and --json list all"]


def test_csv_has_the_names_byte_for_byte_and_json_is_one_document(typed: Typed) -> None:
    table = list(csv.reader(io.StringIO(os.fsdecode(typed("latest", "--csv")[1]))))
    assert table[0] == ["kind", "path", "rows", "size", "why", "row_samples"]
    assert [each[:3] for each in table[1:]] == [["lost", name, "0"] for name in LOST]
    told = json.loads(typed("latest", "--json")[1])
    assert [each["path"] for each in told["lost"]] == [*LOST[:3], r"\udcff"] and told["run"].partition("-")[
        2
    ].startswith("archive")


def test_a_run_that_looked_for_no_files_or_that_is_none_is_wrong_usage(site: MediaSite, typed: Typed) -> None:
    copied = next(each.name for each in sorted((site.home / "state/runs").iterdir()))
    for run, told in ((copied, "has not looked for users' files"), ("nope", "names no run")):
        code, said, errors = typed(run)
        assert (code, said) == (2, b"") and told in errors
        assert json.loads(typed(run, "--json")[1])["error"]["message"]
