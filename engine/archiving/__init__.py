"""The live cluster's WAL on its way into the archive.

command    the archive command: a small POSIX script, without Python
settings   what the live server must be set to, and what stands against it
streaming  the same where WAL is streamed, and the slot that the stream goes by
unfinished what an archive's ``.partial`` files would add to it
adopting   such a file's WAL written under the segment's own name
"""
