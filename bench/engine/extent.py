"""How long each measure looks: the published run, and a quick one whose figures count for nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Extent:
    """Numbers of slices and their seconds."""

    quick: bool
    most_lag_seconds: float  # of the load generator, p99; beyond it a slice is void
    closed_rounds: int
    closed_seconds: float
    sweep_seconds: float
    climb_rounds: int
    climb_seconds: float
    settle_rounds: int
    overload_rounds: int
    overload_seconds: float


FULL = Extent(False, 0.002, 60, 0.6, 3.0, 16, 10.0, 6, 8, 20.0)
QUICK = Extent(True, 0.05, 12, 0.5, 1.0, 8, 3.0, 4, 2, 4.0)
