"""The live cluster's WAL on its way into the archive.

command     the archive command: a small POSIX script, without Python
settings    what the live server must be set to, and what stands against it
streaming   the same where WAL is streamed, the slot that the stream goes by, and where it goes on
unfinished  segments that were not full when their writing ended: what they would add to the archive
adopting    one of them written under the segment's own name
"""
