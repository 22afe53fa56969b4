"""The screen: shows what `engine.acts` answers and asks it for acts; holds no rule of recovery, starts no program.

app         the application: its screens, common keys, leaving
drilling    the drill that is open on the screen
session     what every screen finds in it: desk, acts, signs, theme
acting      what the screens ask of `engine.acts`
errands     work in the background, so that nothing holds the screen up
keys        every key: its id, its keys, what it does
words       times, sizes and durations as the screens say them
screens/    one file a screen: asks acts, lays out widgets
widgets/    painters of parts of a screen, and the one Textual widget that shows the painted cells
axis/       the recovery timeline's geometry: columns, lanes, cuts; pure
painting/   cells and signs; pure
moments     typed times and targets
themes      colours by role, from TOML files
settings    the operator's own: the theme, remapped keys
terminal    what this terminal can show, and when it goes away
plain       plain lines, without a terminal
command     the program's entry
"""
