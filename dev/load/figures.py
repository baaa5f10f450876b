"""The numbers that a run is judged by: percentiles, goodput, rates. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dev.load.outcomes import Outcome, Record, Run, counts


@dataclass(frozen=True)
class Figures:
    """Summary of a run; latencies in seconds over answers that were ok, absent when there was none."""

    offered: int
    answered: int
    duration_seconds: float
    objective_seconds: float
    p50_latency_seconds: float | None
    p95_latency_seconds: float | None
    p99_latency_seconds: float | None
    p95_exchange_seconds: float | None
    goodput_per_second: float
    exchange_goodput_per_second: float
    outcomes: dict[str, int]

    @property
    def offered_per_second(self) -> float:
        """The rate that the schedule asked for."""
        return self.offered / self.duration_seconds


def percentile(values: Sequence[float], fraction: float) -> float | None:
    """Return the nearest-rank percentile: the smallest value that at least `fraction` of the values do not exceed."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(fraction * len(ordered)) - 1)]


def figures(run: Run, objective_seconds: float) -> Figures:
    """Reduce a run to its figures; goodput counts ok answers within `objective_seconds`, per second of the schedule."""
    ok = [record for record in run.records if record.outcome is Outcome.OK]
    latencies = [value for record in ok if (value := record.latency_seconds) is not None]
    exchanges = [value for record in ok if (value := record.exchange_seconds) is not None]
    return Figures(
        offered=len(run.records),
        answered=len(ok),
        duration_seconds=run.duration_seconds,
        objective_seconds=objective_seconds,
        p50_latency_seconds=percentile(latencies, 0.50),
        p95_latency_seconds=percentile(latencies, 0.95),
        p99_latency_seconds=percentile(latencies, 0.99),
        p95_exchange_seconds=percentile(exchanges, 0.95),
        goodput_per_second=_within(latencies, objective_seconds) / run.duration_seconds,
        exchange_goodput_per_second=_within(exchanges, objective_seconds) / run.duration_seconds,
        outcomes={outcome.value: number for outcome, number in counts(run.records).items()},
    )


@dataclass(frozen=True)
class Stretch:
    """The requests that ended in one stretch of a run, for people who watch it."""

    at_seconds: float
    ended: int
    answered: int
    within_objective: int
    open: int
    p95_latency_seconds: float | None


def stretch(at_seconds: float, ended: Sequence[Record], still_open: int, objective_seconds: float) -> Stretch:
    """Summarize the requests that ended since the last look; `still_open` are under way."""
    ok = [record for record in ended if record.outcome is Outcome.OK]
    latencies = [value for record in ok if (value := record.latency_seconds) is not None]
    return Stretch(
        at_seconds=at_seconds,
        ended=len(ended),
        answered=len(ok),
        within_objective=_within(latencies, objective_seconds),
        open=still_open,
        p95_latency_seconds=percentile(latencies, 0.95),
    )


def _within(values: Sequence[float], limit_seconds: float) -> int:
    return sum(value <= limit_seconds for value in values)
