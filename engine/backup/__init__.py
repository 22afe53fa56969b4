"""Taking copies: what a copy will be called, how it is taken, what may stand against it. Each is a plan that the same
runner carries out as a restore's; the steps are in `engine/steps/copying`.

planning    what all plans of copies have in common
base        a base backup: full or incremental
chains      a chain of base backups tried by pg_combinebackup
dump        a dump of one database
source      a git repository
image       the environment
media       a snapshot of the users' files
"""
