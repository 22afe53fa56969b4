"""What people keep: the report of a run for auditors, the runbook for the safe. Pure: records in, text out.

A page is made once, of blocks, and written as Markdown or as one HTML file that needs nothing beside it.

blocks    what a page is made of
markdown  a page as Markdown
html      a page as one HTML file, for a screen and for A4
chart     times over the past recoveries, as SVG
report    the report of a run
measures  what a recovery took and lost, held against the objectives
runbook   the page for the safe (a folder: its parts one by one)
"""
