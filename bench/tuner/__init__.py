"""Tuners on measured performance surfaces: what each finds in 4, 8 and 12 trials, and what it costs to look."""
