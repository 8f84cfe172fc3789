"""Grids of runs: which cells there are, running them, and what they say together."""
