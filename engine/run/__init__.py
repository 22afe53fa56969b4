"""Carrying out: one process for each run, and a folder that tells how it stands.

folder      a run's folder: made, found, read
journal     what was done, line by line
story       what its lines add up to
answers     how a run stands, and which acts it accepts
starting    an engine started, in a session of its own
runner      the engine: the steps forwards, backwards, discarded
carrying    what a step may ask of the engine while it is carried out
control     the socket on which a run is held, cancelled, answered
locks       what nobody else may touch meanwhile
meter       how far the running step is
report      the report, at every end of an engine
history     what steps took, for estimates
learnt      what past recoveries took and lost
earlier     what earlier runs have moved away
opening     the application started again after a restore in place
"""
