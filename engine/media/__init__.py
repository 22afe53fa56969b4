"""The users' files: snapshots of them, and the catalogues that say what a snapshot holds.

catalogue   the file beside a snapshot: every entry with size, time, mode, owner, SHA-256; written and read as a stream
walking     a folder's entries in a catalogue's order
snapshot    a snapshot taken: unchanged files shared with the one before, the others copied and hashed
verifying   a snapshot held against its catalogue
references  what the database refers to, gathered on disk
hashing     many files hashed at once, by hashing_worker in processes of their own
choosing    which file is wanted from which snapshot; choices keeps what was decided on disk
looking     the live folder held against what is wanted
bringing    what is wanted copied, or shared with the live folder, into a folder that is being built; opening: no link
            is followed on the way
swapping    that folder swapped in, or its files moved in one by one; all of it taken back
planning    the plan of it; joining: as part of a restore of the database; rescuing: what the check misses and was moved
checking    the files held against what the database refers to; check_book is what it keeps on disk
"""
