"""The live cluster's WAL on its way into the archive.

command    the archive command: a small POSIX script, without Python
settings   what the live server must be set to, and what stands against it
streaming  the same where WAL is streamed, and the slot that the stream goes by
"""
