"""How long each measure looks: the published run, and a quick one whose figures count for nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace


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
    captured_inputs: int  # in each of the three sets that a plan is searched and judged with
    search_wait_seconds: float
    learned_rows: int  # inputs of the live load, each with a reference
    noise_answers: int  # by which it is learned how far batches move an answer
    swaps: int  # to the plan and back, each counted
    swap_seconds: float
    changes: int  # of hot settings
    growing_seconds: float
    fault_requests: int
    fault_seconds: float  # in which they are over, or ended
    drift_seconds: float  # simulated


FULL = Extent(
    quick=False, most_lag_seconds=0.002, closed_rounds=60, closed_seconds=0.6, sweep_seconds=2.0, climb_rounds=22,
    climb_seconds=3.0, settle_rounds=8, overload_rounds=8, overload_seconds=7.0, captured_inputs=256,
    search_wait_seconds=240.0, learned_rows=256, noise_answers=1024,
    swaps=280, swap_seconds=0.8, changes=150, growing_seconds=60.0, fault_requests=100_000, fault_seconds=90.0,
    drift_seconds=10.0,
)  # fmt: skip
QUICK = Extent(
    quick=True, most_lag_seconds=0.05, closed_rounds=6, closed_seconds=0.4, sweep_seconds=0.5, climb_rounds=4,
    climb_seconds=1.5, settle_rounds=2, overload_rounds=2, overload_seconds=2.0, captured_inputs=16,
    search_wait_seconds=120.0, learned_rows=32, noise_answers=128,
    swaps=10, swap_seconds=1.0, changes=12, growing_seconds=10.0, fault_requests=4000, fault_seconds=30.0,
    drift_seconds=4.0,
)  # fmt: skip
ENDURANCE_ALONE = replace(FULL, growing_seconds=600.0, fault_requests=1_000_000, fault_seconds=7200.0)
"""When nothing else is asked for."""
