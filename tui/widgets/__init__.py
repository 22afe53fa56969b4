"""Painters of parts of a screen; `canvas` is the only Textual widget."""
