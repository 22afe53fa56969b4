"""A file that was moved before the moment, and that only restic's repository has, under its old name: the gate says
that it is sought, not that it is lost, and it comes back; on a real cluster, with the real restic."""

from pathlib import Path

from tests.clusters import Cluster
from tests.end_to_end.documents import make_system
from tests.media.foreign import needs, restic_of

OLD, NEW = "2026/11/27/2.pdf", "2026/11/28/renamed.pdf"


def test_what_must_be_fetched_to_be_known_is_sought_after_the_gate_and_comes_back(
    cluster: Cluster, open_dir: Path
) -> None:
    needs("restic")
    system = make_system(cluster, open_dir)
    operator = system.operator
    kept = open_dir / "kept"
    kept.mkdir()
    made = restic_of(system.media, kept)
    lines = f'[[media.repository]]\nkind = "restic"\npath = "{made.path}"\npassword_file = "{made.password_file}"\n'
    with operator.site.open("a") as file:
        file.write(lines)
    operator.site.write_text(operator.site.read_text().replace(", size, sha256 FROM", ", NULL, sha256 FROM"))
    (system.media / OLD).unlink()
    cluster.sql(f"UPDATE attachments SET path = '{NEW}' WHERE path = '{OLD}'")
    target, copy = system.moment(), operator.copy_to()
    cluster.switch()
    words = ("--name", target, "--into", copy, "--files", "--action", "pause", "--yes")
    report = operator.ask("restore", *words, expect=4).document
    files = report["files"]
    assert (files["sought"], files["unrecoverable"], files["unrecoverable_sample"]) == (1, 0, [])
    assert "sought by content while files are copied: 1 that no snapshot has under its name" in files["findings"]
    report = operator.ask("finish", report["run"], "--yes", expect=0).document
    assert (report["files"]["sought"], report["files"]["unrecoverable"]) == (0, 0)
    assert (copy / "media" / NEW).read_bytes() == system.contents[OLD]
    assert {check["name"]: check["ok"] for check in report["checks"]}["files"] is True
