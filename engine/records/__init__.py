"""The nouns of Reprise, one subject a file; this room imports nothing of ours.

copies    what was saved: base backups, WAL ranges, timelines, restore points, dumps, media snapshots
history   what the WAL says: transaction ends, and the questions that windows and plans ask of it
target    a recovery target, and the recovery point that it resolves to
survey    how the machine and the live cluster stand
plan      checks, planned steps, a plan
copying   a copy that a plan takes
loading   what a plan that restores a dump says of it
keeping   which copies stay and which go
status    whether what is protected is copied and proven as the policy wants
runs      a run as its journal tells it
recoveries  what recoveries took and lost
drills    what can be practised, and how one that is practised stands
lsn       log sequence numbers and segment names
checking  the users' files held against what the database refers to
rows      rows of the database, named and told
errors    what an operator is told when something cannot be done
coding    records to JSON and back
printable text of others as it may be shown
"""
