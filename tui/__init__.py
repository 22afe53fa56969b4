"""The screen: shows what `engine.acts` answers and asks it for acts; holds no rule of recovery, starts no program.

app         the application: its screens, common keys, leaving
drilling    the drill that is open on the screen
session     what every screen finds in it: desk, acts, signs, theme
screens/    one file a screen: asks acts, lays out widgets
widgets/    painters of parts of a screen, and the one Textual widget that shows the painted cells
axis/       the recovery timeline's geometry: columns, lanes, cuts; pure
painting/   cells and signs; pure
moments     typed times and targets
"""
