"""postgresql.conf as PostgreSQL reads it, and our own block in it."""

from hypothesis import given
from hypothesis import strategies as st

from engine.formats.settings_file import (
    quote_setting,
    read_list,
    read_settings,
    read_settings_file,
    remove_block,
    remove_settings,
    write_block,
)
from tests.clusters import Cluster

TEXT = r"""
# a comment
listen_addresses = '*'      # what IP address(es)
Max_Connections 40
work_mem=4MB
search_path = '"$user", public'
archive_command = 'test ! -f /mnt/it''s/%f && cp "%p" \'/x\'\t#no comment'
my.setting = on
shared_buffers = -1
port = 5432
port = 5433
include_if_exists 'extra.conf'
include_dir = 'conf.d'
this is = no setting
log_line_prefix = 'unclosed
"""


def test_the_grammar_of_the_file() -> None:
    found = read_settings_file(TEXT)
    assert found.settings == {
        "listen_addresses": "*",
        "max_connections": "40",
        "work_mem": "4MB",
        "search_path": '"$user", public',
        "archive_command": "test ! -f /mnt/it's/%f && cp \"%p\" '/x'\t#no comment",
        "my.setting": "on",
        "shared_buffers": "-1",
        "port": "5433",
    }
    assert found.includes == (("include_if_exists", "extra.conf"), ("include_dir", "conf.d"))
    assert [line for line, _ in found.faults] == [14, 15]


def test_lists_of_names() -> None:
    assert read_list(' pg_stat_statements,"auto_explain" ,, ') == ("pg_stat_statements", "auto_explain")


def test_postgresql_reads_what_is_quoted_here(cluster: Cluster) -> None:
    value = "it's \\ a 'path' # with \"all\" of it"
    text = write_block("cluster_name = 'old'\n", {"log_line_prefix": value, "cluster_name": "new"})
    (cluster.data_dir / "postgresql.auto.conf").write_text(text)
    cluster.server.stop()
    cluster.start()
    assert cluster.value("SELECT current_setting('log_line_prefix')") == value
    assert cluster.value("SELECT current_setting('cluster_name')") == "new"
    cluster.sql("ALTER SYSTEM SET log_line_prefix = 'a''b\\c'")
    assert read_settings((cluster.data_dir / "postgresql.auto.conf").read_text())["log_line_prefix"] == "a'b\\c"


def test_there_is_one_block_and_it_goes_without_a_trace() -> None:
    before = "work_mem = '4MB'\n"
    once = write_block(before, {"port": "1"})
    assert write_block(once, {"port": "2"}).count("port") == 1
    assert remove_block(once) == before
    assert remove_block(write_block("no line end", {})) == "no line end\n"


def test_settings_are_removed_by_name() -> None:
    assert remove_settings("a = 1\nPort = 5\n# port = 6\n", frozenset({"port"})) == "a = 1\n# port = 6\n"


@given(st.text(st.characters(exclude_characters="\0")))
def test_a_quoted_value_is_read_back(value: str) -> None:
    assert read_settings(f"a = {quote_setting(value)}\nb = 1") == {"a": value, "b": "1"}


@given(st.text() | st.text(alphabet="a='\\ #.\n\t0x"))
def test_arbitrary_text_is_read(text: str) -> None:
    read_settings_file(text)
    assert remove_block(write_block(remove_block(text), {})).rstrip("\n") == remove_block(text).rstrip("\n")
