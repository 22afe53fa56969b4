"""Logical copies: what a dump that Reprise took looks like, and whether a dump is whole.

layout   the folder of a dump: its contents, the roles beside it, the note of what and when
whole    a dump read to its end
scripts  a plain dump read as psql reads it
contents what a dump says of its database itself
roles    which statements of the cluster's globals make which role
restoring  the plan that restores one
"""
