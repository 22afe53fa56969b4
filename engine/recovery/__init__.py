"""The thinking: pure functions of what the catalog, the survey and the WAL index say. Nothing here reads or changes.

lines         the line of a timeline, and the unbroken WAL along it
backups       what WAL and the last proof say of a base backup
reach         one reading of a site's copies, thought through: which backups stand on which line, how far WAL goes
listed        the same of an archive of which only the names are known
windows       what each base backup can reach, for the time axis
placing       where a target lies on one line, and which backup reaches it there
resolving     a target resolved to the gate, the backup and the WAL that reach it
points        a gate made into a recovery point: what is kept, what is lost
snapshots     which media snapshots a moment needs
settings      what a standby must not undercut
sizes         how much room a recovery takes
planning      the plan: where everything will lie, the ordered steps
checks/       what must hold before and after (question: what they are asked; one file for each thing looked at)
wording       the commands that remedies name
estimates     how long a plan will take
proof_drills  a side copy's plan that proves the copies and is thrown away; which moment; what disproves them
recoveries    what runs took and lost
retention     which copies a policy keeps, and which WAL these need
"""
