"""A bare machine: no cluster, no server, no site file any more, only the copies."""

import shutil
from pathlib import Path

from tests.clusters import Cluster
from tests.end_to_end.operator import Operator, operator_for


def test_from_the_backups_alone_a_site_file_is_written_and_production_comes_back_where_it_was(
    cluster: Cluster, open_dir: Path
) -> None:
    """The folder of the server's socket is gone, too: that of a machine on which PostgreSQL never ran."""
    cluster.sql(f"ALTER SYSTEM SET port = {cluster.port}")
    cluster.sql(f"ALTER SYSTEM SET unix_socket_directories = '{cluster.socket_dir / 'deep'}'")
    cluster.write(20, seed=1)
    cluster.base_backup("one", "tar.gz")
    cluster.write(20, seed=2)
    cluster.switch()
    cluster.stop()
    copies = open_dir / "mnt" / "backup"
    copies.mkdir(parents=True)
    for folder in (cluster.backups, cluster.archive):
        shutil.move(folder, copies / folder.name)
    shutil.rmtree(cluster.data_dir)
    shutil.rmtree(cluster.socket_dir)

    operator = Operator(cluster, open_dir, open_dir / "etc" / "site.toml")
    operator.call("init", "--from", open_dir / "mnt", "--yes", expect=0)
    text = operator.site.read_text()
    assert f'host = "{cluster.socket_dir / "deep"}"' in text and f"port = {cluster.port}" in text
    assert f'base_backups = "{copies / "base"}"' in text and f'wal = "{copies / "wal"}"' in text
    usual = f'data_dir = "/var/lib/postgresql/{cluster.programs.version}/main"'
    assert usual in text  # Debian's place; where nothing may be written by a test
    text = text.replace(usual, f'data_dir = "{cluster.data_dir}"\nbin_dir = "{cluster.programs.bin_dir}"')
    operator.site.write_text(text)

    report = operator.call("restore", "--latest", "--in-place", "--yes", expect=0).document
    assert (report["outcome"], report["data_dir"]) == ("completed", str(cluster.data_dir))
    assert operator.rows(report) == {row.id for row in cluster.rows}
    operator.ask("rollback", report["run"], "--yes", expect=0)
    assert not cluster.data_dir.exists() and not cluster.socket_dir.exists()


def test_a_socket_folder_that_cannot_be_made_is_named_and_the_run_goes_on_once_it_is_there(
    cluster: Cluster, open_dir: Path
) -> None:
    place = open_dir / "file" / "s"
    cluster.sql(f"ALTER SYSTEM SET unix_socket_directories = '{place}', '{cluster.socket_dir}'")
    cluster.write(5, seed=1)
    cluster.base_backup("one")
    cluster.switch()
    cluster.stop()
    shutil.rmtree(cluster.data_dir)
    operator = operator_for(cluster, open_dir)
    place.parent.touch()
    failed = operator.ask("restore", "--latest", "--in-place", "--yes", expect=1).document
    assert str(place) in failed["error"]["message"] and cluster.user.name in failed["error"]["remedy"]
    place.parent.unlink()
    done = operator.ask("resume", failed["run"], "--yes", expect=0).document
    assert done["outcome"] == "completed" and operator.rows(done) == {row.id for row in cluster.rows}
