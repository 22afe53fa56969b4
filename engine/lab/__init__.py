"""The lab: a real cluster of a small document system, for the demo, the drills and the tests.

place      where it lies, and whether that is ours to fill or to empty
system     the document system: its schema, what it holds from the beginning
workload   its users: concurrent writers, a process of its own (`python -m engine.lab.workload`)
copies     its base backups and media snapshots
building   its life, compressed into less than a minute: backups, restore points, an accident
lab        a finished lab: its site file, its server
"""
