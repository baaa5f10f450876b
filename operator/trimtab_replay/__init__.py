"""The operator's decisions, offline: the same pure code over recorded ticks."""
