"""The users' files: snapshots of them, and the catalogues that say what a snapshot holds.

catalogue   the file beside a snapshot: every entry with size, time, mode, owner, SHA-256; written and read as a stream
walking     a folder's entries in a catalogue's order
snapshot    a snapshot taken: unchanged files shared with the one before, the others copied and hashed
verifying   a snapshot held against its catalogue
sources     the files of one snapshot, whatever program keeps them
folders     dated folders without a catalogue, of rsync and rsnapshot
restic      restic's repositories; what it prints: restic_output
borg        borg's repositories; what it prints: borg_output
programs    these two started so that nothing asks, hangs or shows a password
fetched     files on their way out of them
"""
