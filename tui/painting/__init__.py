"""Cells: a screen is painted into a grid of characters and roles; no widget, no terminal in here."""
