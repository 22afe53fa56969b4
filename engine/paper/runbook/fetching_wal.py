"""The restore command of the page: a plain sh script that finds a segment in the archive.

It finds what ``catalog.archive`` lists: files flat, or nested as Barman (``<16 digits>/<segment>``) and pgBackRest
(``<archive id>/<16 digits>/<segment>-<SHA-1>``) nest them, plain or packed, also under their own names, as Barman packs
them. Where the segments of more than one cluster lie there, a file's first page says whose it is (xlp_sysid of
XLogLongPageHeaderData in xlog_internal.h, at byte 24).
"""

from collections.abc import Iterator

from engine.paper.runbook.shell import quoted
from engine.records.lsn import SegmentName, segment_of
from engine.records.target import RecoveryPoint
from engine.recovery.lines import last_segment

_SHA1 = "?" * 40
_EVERYWHERE = '"$archive/$name"* "$archive/$folder/$name"* "$archive"/*-*/"$name"* "$archive"/*-*/"$folder/$name"*'


def restore_script(archive: str, point: RecoveryPoint) -> list[str]:
    """The lines of the script. It says 1 only where the archive is there and has no such file."""
    return [
        "# restore-wal.sh NAME PATH: 1 says that the archive has no such file, 200 stops the server: what cannot be",
        "# read is not the archive's end.",
        "LC_ALL=C; export LC_ALL",
        f"archive={quoted(archive)} name=$1 path=$2 unread=",
        "folder=${name%????????} # Barman and pgBackRest nest segments by their first 16 digits",
        "packing() { # what is behind the name: a checksum, how it is packed; Barman packs it and does not say so",
        '  packed=${1##*/}; packed=${packed#"$name"}',
        f"  case $packed in -{_SHA1}*) packed=${{packed#-{_SHA1}}} ;; esac",
        '  [ -n "$packed" ] || case $(od -A n -t x1 -N 4 < "$1" | tr -d " \\n") in',
        "    28b52ffd) packed=.zst ;; 1f8b*) packed=.gz ;; 04224d18) packed=.lz4 ;;",
        "  esac",
        "}",
        "unpack() { case $packed in",
        "  .zst) zstd -q -d -c ;; .gz) gzip -d -c ;; .lz4) lz4 -q -d -c ;; '') cat ;; *) false ;;",
        "esac; }",
        "take() {",
        '  [ -f "$1" ] || return 0',
        '  packing "$1"',
        "  case $packed in '' | .zst | .gz | .lz4 | .bz2 | .xz | .lzo | .snappy) ;; *) return 0 ;; esac",
        '  if unpack < "$1" > "$path" && ours; then exit 0; fi',
        '  rm -f "$path"; unread=1',
        "}",
        *_ours(point),
        'for file in "$archive/$name" "$archive/$name.zst" "$archive/$name.gz" "$archive/$name.lz4"; do',
        '  take "$file"',
        "done",
        f"for file in {_EVERYWHERE}; do",
        '  take "$file"',
        "done",
        '[ -z "$unread" ] || exit 200',
        *_needed(point),
        *_answers(point),
    ]


def _ours(point: RecoveryPoint) -> Iterator[str]:
    identifier = point.backup.system_identifier
    if identifier is None:
        yield "ours() { :; }"
    else:
        segment = f'[ "$(od -A n -t u8 -j 24 -N 8 < "$path" | tr -d " \\n")" = {identifier} ]'
        yield f"ours() {{ case $name in *.*) ;; *) {segment} ;; esac; }} # this cluster's"


def _needed(point: RecoveryPoint) -> Iterator[str]:
    """Lines that stop the server where a segment is missing that the recovery needs: PostgreSQL would take the hole for
    the archive's end, and open."""
    size = point.segment_size
    if point.pieces:
        yield 'needed() { [ "$(printf \'%s\\n\' "$2" "$1" "$3" | sort | sed -n 2p)" = "$1" ]; }'
    for piece in point.pieces:
        first, last = segment_of(piece.low, size), last_segment(piece.high, size)
        if first <= last:
            names = " ".join(SegmentName(piece.timeline, number).text(size) for number in (first, last))
            yield f'if needed "$name" {names}; then exit 200; fi'


def _answers(point: RecoveryPoint) -> Iterator[str]:
    """Lines that see whether the archive itself is there: what it held when the page was made is in it."""
    if point.wal_last:
        yield f"name={point.wal_last} folder={point.wal_last[:16]}"
        yield f'for file in {_EVERYWHERE}; do if [ -e "$file" ]; then exit 1; fi; done'
    else:
        yield 'if [ -n "$(ls -A -- "$archive")" ]; then exit 1; fi'
    yield "exit 200 # away, or not mounted"
