"""Steps that take a copy. Each kind of copy has its own file; they share where a copy grows and how it gets its name.

drafts     the folder in which a copy grows, unseen by all readers of the repository
base       a base backup, by pg_basebackup
dump       a dump of one database, with its cluster's roles
verify_dump  a dump read back to its end
source     a git repository's mirror or bundle
image      the environment packed, or registered
media      a snapshot of the users' files
verify     the copy read back before it gets its name
push       a copy sent to its second place
beside     what a bare machine needs besides a base backup
publish    a copy that is complete and verified gets its name
"""
