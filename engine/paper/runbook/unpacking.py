"""A base backup made into a data directory by hand: copied, or unpacked, or a chain of them combined.

What pg_basebackup writes: plain folders whose links in pg_tblspc lead to wherever the tablespaces were put; or
``base.tar``, ``<oid>.tar`` for each tablespace, ``pg_wal.tar``, with the manifest beside them and a ``tablespace_map``
in base.tar, by which the starting server would link the tablespaces to production's own places.
"""

from engine.paper.runbook.shell import SUFFIX, UNPACK, quoted
from engine.records.copies import BaseBackup


def unpack(backup: BaseBackup, source: str, into: str, tablespaces: str) -> list[str]:
    """Lines that fill ``into`` and ``<tablespaces><oid>`` from ``source``: three words of the shell."""
    lines = [f"mkdir -m 0700 {into}"]
    if backup.format == "plain":
        lines.append(f"cp -a {source}/. {into}/")
        lines += [f"if [ -L {into}/pg_wal ]; then rm {into}/pg_wal; mkdir -m 0700 {into}/pg_wal; fi"]
    else:
        suffix, program = SUFFIX[backup.compression], UNPACK[backup.compression]
        lines.append(f"{program} {source}/base.tar{suffix} | tar -xpf - -C {into}")
        lines.append(f"mkdir -p -m 0700 {into}/pg_wal {into}/pg_tblspc")
        for wal in dict.fromkeys((None, backup.compression)):  # streamed beside the backup, it is not compressed
            tar = f"{source}/pg_wal.tar{SUFFIX[wal]}"
            lines.append(f"if [ -f {tar} ]; then {UNPACK[wal]} {tar} | tar -xpf - -C {into}/pg_wal; fi")
        if backup.has_manifest:
            lines.append(f"cp {source}/backup_manifest {into}/")
    for each in backup.tablespaces:
        link, place = f"{into}/pg_tblspc/{each.oid}", f"{tablespaces}{each.oid}"
        lines.append(f"mkdir -p -m 0700 {place} # it lay in {quoted(each.location)}")
        if backup.format == "plain":
            lines.append(f"cp -a {source}/pg_tblspc/{each.oid}/. {place}/")
        else:
            tar = f"{source}/{each.oid}.tar{SUFFIX[backup.compression]}"
            lines.append(f"{UNPACK[backup.compression]} {tar} | tar -xpf - -C {place}")
        lines += [f"rm -f {link}", f"ln -s {place} {link}"]
    return lines


def combine(members: int, last: BaseBackup) -> list[str]:
    """Lines that make ``$NEW/data`` of the chain in ``$NEW/chain``."""
    places = " ".join(f'"$NEW/tablespaces/{each.oid}"' for each in last.tablespaces)
    maps = [f'-T "$NEW/chain/{members}-{each.oid}=$NEW/tablespaces/{each.oid}"' for each in last.tablespaces]
    chain = [f'"$NEW/chain/{number}"' for number in range(1, members + 1)]
    lines = [f"mkdir -p -m 0700 {places}"] if places else []
    return [
        *lines,
        'mkdir -m 0700 "$NEW/data"',
        'chown -R "$AS:" "$NEW/chain" "$NEW/data" "$NEW/tablespaces"',
        " ".join(['$as "$BIN/pg_combinebackup" -o "$NEW/data"', *maps, *chain]),
    ]
