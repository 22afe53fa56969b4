"""Fast verified copying of base backups; reading tar, gzip, lz4 and zstd.

verifying  a base backup read through and held against its manifest
copying    one base backup into a folder: the way in. Starts the worker, listens to it, ends it
worker     the child process that does it, with two threads
passing    the one pass: read, checksum, write, put on disk
reading    what a backup folder holds, plain or tar, and how its bytes come out
contents   which of a backup's files belong into the copy
writing    files and folders of the copy: owner, mode, checksum, early write-back
ledger     which files of an unfinished copy are complete, so that a resumed one need not write them again
durable    when what was written is on disk
tar        the entries of a tar stream
opening    plain, gzip, lz4 and zstd files by their magic bytes
removing   folders made, and taken away again
"""
