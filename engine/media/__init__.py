"""The users' files: snapshots of them, and the catalogues that say what a snapshot holds.

catalogue   the file beside a snapshot: every entry with size, time, mode, owner, SHA-256; written and read as a stream
differing   what differs between two snapshots, or a snapshot and live
listing     what a snapshot holds, by folder and by name (SQLite)
walking     a folder's entries in a catalogue's order
snapshot    a snapshot taken: unchanged files shared with the one before, the others copied and hashed
verifying   a snapshot held against its catalogue
references  what the database refers to, gathered on disk; row_names: by what its rows are known
sharing     orders about many files shared out among processes of their own; file_worker is what runs there
hashing     many files hashed at once, by them
putting     one file's content copied and hashed, and given its attributes
checking    the files held against what the database refers to; check_book is what it keeps on disk
sources     the files of one snapshot, whatever program keeps them
folders     dated folders without a catalogue, of rsync and rsnapshot
restic      restic's repositories; what it prints: restic_output
borg        borg's repositories; what it prints: borg_output
programs    these two started so that nothing asks, hangs or shows a password
fetched     files on their way out of them
planning    the plan that brings files back; joining: in the plan of a restore of the database
choosing    which file from which snapshot; choices is what is decided, on disk; lost: what nobody has, read out of it
selecting   how much the snapshots hold together, in all or at and below one path
younger     how much of the live folder changed after the moment
looking     the live folder held against what is wanted
elsewhere   what is lost or damaged, sought by its content: in snapshots, the live folder, what was set aside
trying      the same where that costs reading: what must be fetched, or hashed, to be known
bringing    what is wanted, copied and hashed; opening: without following a link
swapping    the live folder changed by renames, and back
dressing    its owners and modes put right, and back
brought     what a run's choices say of a file later
rescuing    what the opened database misses, from what was moved out
"""
