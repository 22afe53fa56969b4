"""The screen: shows what `engine.acts` answers and asks it for acts; holds no rule of recovery, starts no program.

command     the program's entry: the command line, with the screen handed to it
app         the application: its screens, common keys, leaving
terminal    what this terminal can show, and when it goes away
plain       without one: the catalog and the windows as lines
session     what every screen finds in it: desk, acts, signs, theme
settings    the operator's own: the theme, keys that were remapped
themes      colours by role
keys        every key, by its id
acting      what the screens ask of `engine.acts`
errands     that asked by a thread, so that no screen waits
drilling    the drill that is open on the screen
screens/    one file a screen: asks acts, lays out widgets
widgets/    painters of parts of a screen, and the one Textual widget that shows the painted cells
axis/       the recovery timeline's geometry: columns, lanes, cuts; pure
painting/   cells and signs; pure
moments     typed times and targets
words       times, sizes and durations as they are said
"""
