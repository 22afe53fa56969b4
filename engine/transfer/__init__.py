"""Fast verified copying of base backups; reading tar, gzip, lz4 and zstd.

verifying  a base backup read through and held against its manifest
copying    one base backup into a folder: the way in. Starts the worker, listens to it, ends it
worker     the child process that does it, with two threads
passing    the one pass: read, checksum, write, put on disk
reading    what a backup folder holds, plain or tar, and how its bytes come out
contents   which of a backup's files belong into the copy
writing    files and folders of the copy: owner, mode, checksum, early write-back
checksums  those of a backup manifest
expected   what a manifest says must be there, and whether it was
incremental  what an incremental backup's files become once combined
skeleton   a backup without its contents, for pg_combinebackup to try a chain on
ledger     which files of an unfinished copy are complete, so that a resumed one need not write them again
durable    when what was written is on disk
appearing  a finished file gets its name, and replaces nothing
tar        the entries of a tar stream
throttle   an upper limit for the bytes read in a second
opening    plain, gzip, lz4 and zstd files by their magic bytes
noting     small files written beside a copy, where no link is followed
naming     names that backups and archives give, shown and taken apart safely
failures   what the operating system refuses, as an operator should hear it
removing   folders made, and taken away again
"""
