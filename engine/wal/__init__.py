"""PostgreSQL's WAL, read without PostgreSQL: pages, records, transaction ends, and an index of a whole archive.

files         a segment file's contents, plain or packed
pages         page headers (13 to 18)
records       the records that a recovery must know of: transaction ends, restore points, settings, backup ends
stripped      a segment's pages without their headers (numpy, as the seven below)
following     from record to record
headers       records' headers, as columns
marks         which records are which
checksums     the CRC-32C of all records at once
images        the compression of full-page images
contents      what a segment's records say
segment       one segment file, verified record by record
reading       what came of that
packing       a segment's transaction ends as a few bytes
worker        reading a file, here or as a child process
children      child processes that read
side_by_side  reading many files
tail          one file by itself: the end of a cluster's pg_wal
stitch        a record that crosses from one segment into the next
linking       how each segment continues the one before it, and timelines their parents
cache         the index's SQLite file
tree          sums over many segments
density       commits on a time axis
comparing     what is new in an archive
storing       writing into the index
refresh       bringing the index up to date with an archive
forks         `.history` files
places        the records around an LSN
asking        what all questions to the index stand on
runs          its answers about segments
ends          its answers about transaction ends
index         the index as a whole (`engine.records.history.WalHistory`)
"""
