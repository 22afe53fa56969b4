"""Guided drills: a disaster in a lab of its own, practised with the very program of an emergency, and marked.

scenario    a disaster as data: what its TOML file may say (scenarios/*.toml are ours)
reading     the scenario files: found, read, checked, explained
facts       what really happened; placeholders that name it
base        the lab before any disaster: built once, laid out anew for each drill
staging     a scenario's steps carried out: work, notes, the disaster
damage      what the disaster does to files
marking     what came of it, asked by SQL and of the files
folder      a drill's folder: its card, its truth, its record, its result
telling     how a drill stands, minute by minute
hands       what a drill wants done as an operator does it: acts, handed in
ending      the result, and nothing left of it
sweeping    everything of a drill that runs is ended
keeper      `python -m engine.drill.keeper`: sees to it when whoever began the drill is gone
"""
