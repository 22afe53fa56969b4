"""Steps that bring the users' files back.

common  what they share
asking  what the database refers to
choose  which file from which snapshot, and what the live folder has already
copy    what it has not
swap    into the live folder's place, or into it
check   held against what the database refers to
judging what that means for the run
"""
