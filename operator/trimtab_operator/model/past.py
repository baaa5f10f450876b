"""What went on over the last hour, day and week, in few equal steps, and the trend of what is judged by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from statistics import fmean

import numpy as np

from trimtab_api.findings import TrendSpan
from trimtab_operator.model.arrays import Floats
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.slope import NoSlope, Slope, least_known, slopes

STEP_SECONDS = {TrendSpan.HOUR: 300, TrendSpan.DAY: 7_200, TrendSpan.WEEK: 86_400}
STEPS = {TrendSpan.HOUR: 12, TrendSpan.DAY: 12, TrendSpan.WEEK: 7}  # a week in days: no time of the day is a trend

Steps = tuple[float | None, ...]
"""Values of the target in equal steps of time, oldest first; None is a gap."""
Trends = dict[TrendSpan, Slope | NoSlope]


class Quantity(StrEnum):
    """What has a trend; units in the comments."""

    GPU_UTILIZATION = "gpu_utilization"  # ratio
    GPU_MEMORY = "gpu_memory"  # ratio
    SERVICE_TIME = "service_time"  # s, percentile
    LATENCY = "latency"  # s, percentile
    TIME_TO_FIRST_TOKEN = "time_to_first_token"  # noqa: S105 - a metric, not a secret; s, percentile
    INTER_TOKEN_LATENCY = "inter_token_latency"  # noqa: S105 - the same
    THROUGHPUT = "throughput"  # good answers per hour
    ACCURACY = "accuracy"  # ratio
    RESOURCE_UTILIZATION = "resource_utilization"  # ratio, of the scarcest resource
    ERRORS = "errors"  # ratio
    CACHE_HITS = "cache_hits"  # ratio
    ENERGY = "energy"  # J per good answer


@dataclass(frozen=True)
class Past:
    """One target's signals in steps of STEP_SECONDS, by the time that they reach back.

    `until` is the time (unix seconds) that the last step stands for. A histogram stands as one of its percentiles, the
    mean over the pods; `percentiles` says which. `message` is what Prometheus failed to say.
    """

    steps: dict[TrendSpan, dict[Signal, Steps]]
    until: dict[TrendSpan, float]
    percentiles: dict[Signal, int] = field(default_factory=dict)
    message: str = ""

    def hourly_rates(self) -> tuple[float, float] | None:
        """Return offered and failed requests per second over the last hour; None where too few steps know both."""
        table = self.steps.get(TrendSpan.HOUR, {})
        pairs = zip(table.get(Signal.REQUESTS_PER_SECOND, ()), table.get(Signal.ERRORS_PER_SECOND, ()), strict=False)
        known = [(offered, failed) for offered, failed in pairs if offered is not None and failed is not None]
        if len(known) < least_known(STEPS[TrendSpan.HOUR]):
            return None
        return fmean(offered for offered, _ in known), fmean(failed for _, failed in known)

    @cached_property
    def trends(self) -> dict[Quantity, Trends]:
        """The trend of each quantity over each time, or why there is none; reckoned once."""
        found: dict[Quantity, Trends] = {quantity: {} for quantity in Quantity}
        for span in TrendSpan:
            table = self.steps.get(span, {})
            known = {signal: np.array(steps, dtype=np.float64) for signal, steps in table.items()}
            made = {quantity: row for quantity, rule in _RULES.items() if (row := rule(known)) is not None}
            for quantity in Quantity:
                found[quantity][span] = NoSlope(self.message or "no series")
            for (quantity, row), slope in zip(made.items(), _all_slopes(made, span), strict=True):
                found[quantity][span] = slope or _too_few(row, span)
        return found


def _all_slopes(made: Mapping[Quantity, Floats], span: TrendSpan) -> list[Slope | None]:
    return slopes(np.stack(list(made.values())), STEP_SECONDS[span]) if made else []


def _too_few(row: Floats, span: TrendSpan) -> NoSlope:
    hours = STEP_SECONDS[span] / 3600.0
    step = f"{hours:g} h" if hours >= 1.0 else f"{hours * 60.0:g} min"
    return NoSlope(f"{np.isfinite(row).sum()} of {len(row)} steps of {step} are known, {least_known(len(row))} needed")


_Known = Mapping[Signal, Floats]


def _signal(signal: Signal) -> Callable[[_Known], Floats | None]:
    return lambda known: known.get(signal)


def _served(known: _Known) -> Floats | None:
    """Return good answers per second."""
    offered, failed = known.get(Signal.REQUESTS_PER_SECOND), known.get(Signal.ERRORS_PER_SECOND)
    return None if offered is None or failed is None else offered - failed


def _per_hour(known: _Known) -> Floats | None:
    served = _served(known)
    return None if served is None else served * 3600.0


def _errors(known: _Known) -> Floats | None:
    return _over(known.get(Signal.ERRORS_PER_SECOND), known.get(Signal.REQUESTS_PER_SECOND))


def _energy(known: _Known) -> Floats | None:
    return _over(known.get(Signal.GPU_POWER_WATTS), _served(known))


def _scarcest(known: _Known) -> Floats | None:
    """Return used over allowed of the fullest of GPU, CPU and memory, step by step."""
    used = (
        known.get(Signal.GPU_UTILIZATION_RATIO),
        _over(known.get(Signal.CPU_USED_CORES), known.get(Signal.CPU_LIMIT_CORES)),
        _over(known.get(Signal.MEMORY_USED_BYTES), known.get(Signal.MEMORY_LIMIT_BYTES)),
    )
    rows = [row for row in used if row is not None]
    return np.fmax.reduce(rows) if rows else None


def _over(part: Floats | None, whole: Floats | None) -> Floats | None:
    """Divide step by step; a gap where there is nothing to divide by."""
    if part is None or whole is None:
        return None
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0.0)


_RULES: dict[Quantity, Callable[[_Known], Floats | None]] = {
    Quantity.GPU_UTILIZATION: _signal(Signal.GPU_UTILIZATION_RATIO),
    Quantity.GPU_MEMORY: _signal(Signal.GPU_MEMORY_USED_RATIO),
    Quantity.SERVICE_TIME: _signal(Signal.SERVICE_SECONDS),
    Quantity.LATENCY: _signal(Signal.LATENCY_SECONDS),
    Quantity.TIME_TO_FIRST_TOKEN: _signal(Signal.TIME_TO_FIRST_TOKEN_SECONDS),
    Quantity.INTER_TOKEN_LATENCY: _signal(Signal.INTER_TOKEN_LATENCY_SECONDS),
    Quantity.THROUGHPUT: _per_hour,
    Quantity.ACCURACY: _signal(Signal.ACCURACY_RATIO),
    Quantity.RESOURCE_UTILIZATION: _scarcest,
    Quantity.ERRORS: _errors,
    Quantity.CACHE_HITS: _signal(Signal.CACHE_HIT_RATIO),
    Quantity.ENERGY: _energy,
}
