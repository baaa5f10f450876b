"""Which contenders a measure runs, each with the best setting of its sweep."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from bench.engine.contenders import CONTENDERS, OURS, Setting, settings
from bench.engine.extent import Extent
from bench.engine.field import Field

CALLERS = 32
SWEEP_CALLERS = 16
"""Few enough that a good answer within the deadline is possible at saturation."""


def say(text: str) -> None:
    """Tell a person how far the bench is."""
    print(text, file=sys.stderr, flush=True)


def best_settings(
    workload: str, deadline_seconds: float, extent: Extent, names: Sequence[str], score: Callable[[Field, str], float]
) -> dict[str, tuple[Setting, float]]:
    """Sweep each contender alone; returns its best setting and what it scored with it. Raises BenchError."""
    found: dict[str, tuple[Setting, float]] = {}
    for name in names:
        tried = []
        for setting in settings(CONTENDERS[name], workload):
            with Field(extent.most_lag_seconds) as field:
                field.start(name, workload, deadline_seconds, setting)
                tried.append((setting, score(field, name)))
            say(f"  {workload}: {name} with {setting}: {tried[-1][1]:.1f}")
        found[name] = max(tried, key=lambda each: each[1])
    return found


def rivals_for(workload: str, only: Sequence[str]) -> list[str]:
    """Return the rivals that can serve a workload, or those of them that were asked for."""
    able = [name for name, each in CONTENDERS.items() if workload in each.workloads and name not in OURS]
    return [name for name in able if not only or name in only]
