"""What is kept, and what is proven of it. Which copies a policy keeps is a rule (`engine/recovery/retention.py`).

proofs      what was verified, when, with which result
drilled     what the run of a proof drill says of the copies that it restored
status      whether all is copied and proven as the policy wants
judging     what the policy lets go, of all the places of a site (judging_there: at a second place)
expiring    what is past its time is taken away
"""
