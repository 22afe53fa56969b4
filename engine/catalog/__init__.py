"""What copies there are: readers that only read, and yield records. What they meet may be broken, hang, or be hostile.

directory   a repository of kind `directory`: base backups and archived WAL
folders     one folder of a base backup: what it is, and what its files say
base_tar    the small files within its `base.tar`
files       single small files, no link followed
facts       what was learnt of such a folder, and the memory that spares reading it again
backups     these facts made into backups: parents, identifiers, names
beside      what was kept beside a base backup for a bare machine
archive     the files of a WAL archive, flat or nested
segments    a hundred thousand of them, kept small
dumps       logical copies, told by their first bytes
media       snapshots of the users' files, whatever keeps them
foreign     those of restic and borg, listed by their programs and remembered
discover    what a new site file starts from: clusters of this machine, copies below a folder
waiting     work on a repository that may hang
"""
