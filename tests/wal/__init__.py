"""Tests of the WAL room, on WAL that real servers wrote."""
