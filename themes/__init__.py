"""Colour themes, one TOML file each: data, read by `tui/themes.py`."""
