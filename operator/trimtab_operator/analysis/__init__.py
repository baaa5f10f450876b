"""Snapshot -> Analysis. Pure: trust, attainment, scorecard, bottleneck, constraints, capacity, baseline."""
