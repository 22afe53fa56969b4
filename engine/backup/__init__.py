"""Taking copies: what a copy will be called, how it is taken, what may stand against it. Each is a plan that the same
runner carries out as a restore's; the steps are in `engine/steps/copying`.

planning    what all plans of copies have in common
base        a base backup: full or incremental
chains      a chain of base backups tried by pg_combinebackup
expiring    what is past its time is taken away
status      whether all is copied and proven as the policy wants
calendar    calendar times, as cron and systemd write them
schedule    what runs when
proofs      what was verified, when, with which result
drilled     what the run of a proof drill says of the copies that it restored
dump        a dump of one database
source      a git repository
image       the environment
media       a snapshot of the users' files
"""
