"""The acts of an operator: one function each, and the only place that puts the rooms together.

Command line and screens call these and nothing deeper. All raise RepriseError and nothing else that an operator could
see. Nothing here prints.
"""
