"""The engine of Reprise: knows no screen."""

__version__ = "0.1.0"
