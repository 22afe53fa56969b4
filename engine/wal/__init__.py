"""PostgreSQL's WAL, read without PostgreSQL: pages, records, transaction ends, and an index of a whole archive.

names     which file is a segment, and how it is packed
pages     page headers (13 to 18)
records   the records that a recovery must know of: transaction ends, restore points, settings, backup ends
segment   one segment file, verified record by record (numpy)
stitch    records that cross from one segment into the next
packing   a segment's transaction ends as a few bytes
cache     the index's SQLite file
refresh   bringing the index up to date with an archive
index     the index's answers (`engine.records.history.WalHistory`)
tail      the readable end of a running cluster's pg_wal
"""
