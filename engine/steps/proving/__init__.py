"""Steps of a proof drill: what makes a side copy the proof of the copies that it was made from.

look_up_files  what the recovered database refers to, looked for in the snapshots of the users' files
throw_away     the copy deleted again
verdict        whether all that was checked is well
"""
