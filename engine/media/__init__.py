"""The users' files: snapshots of them, and the catalogues that say what a snapshot holds.

catalogue   the file beside a snapshot: every entry with size, time, mode, owner, SHA-256; written and read as a stream
walking     a folder's entries in a catalogue's order
snapshot    a snapshot taken: unchanged files shared with the one before, the others copied and hashed
verifying   a snapshot held against its catalogue
references  what the database refers to, gathered on disk
hashing     many files hashed at once, by hashing_worker in processes of their own
checking    the files held against what the database refers to; check_book is what it keeps on disk
"""
