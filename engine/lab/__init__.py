"""The lab: a real cluster of a small document system, for the demo, the drills and the tests.

place      where it lies, and whether that is ours to fill or to empty
system     the document system: its schema, what it holds from the beginning
software   the document system's own installation folder and source code
workload   its users: concurrent writers, a process of its own (`python -m engine.lab.workload`)
copies     who takes its copies: acts, as an operator does
founding   its cluster, the document system in it, its site file
living     its life, compressed: copies, restore points, an accident
building   a lab built, or found again
lab        a finished lab: its site file, its server
"""
