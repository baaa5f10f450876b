"""One measured window of the second act: what the load generator, Prometheus and the plan's keys say of it."""

from __future__ import annotations

from dataclasses import dataclass

from dev.demo.accuracy import Accuracy
from dev.demo.errors import DemoError
from dev.demo.prometheus import Prometheus, Usage
from dev.demo.tuning.plan import TUNED_PODS
from dev.load.figures import Figures, figures
from dev.load.outcomes import Run, between
from dev.load.plan import LoadPlan, inputs_of
from dev.load.repeats import repeated_share


@dataclass(frozen=True)
class Window:
    """A stretch of time, in unix seconds."""

    begins: float
    ends: float


@dataclass(frozen=True)
class Measured:
    """A window's figures; None where something was not measured, or there is nothing to divide by.

    `hit_share` is of the inputs that were looked up in the cache, `repeat_share` of those that were sent; `accuracy` is
    that at the end of the window.
    """

    load: Figures
    cpu_seconds_per_answer: float | None
    hit_share: float | None
    repeat_share: float | None
    accuracy: Accuracy | None = None


def measured(plan: LoadPlan, run: Run, window: Window, prometheus: Prometheus) -> Measured:
    """Measure a window of a finished run; raises DemoError when the run does not cover it."""
    begin, end = (at - run.started_at_epoch_seconds for at in (window.begins, window.ends))
    try:
        part = between(run, begin, end)
    except ValueError as error:
        raise DemoError(f"the load does not cover a measured window: {error}") from error
    first = sum(record.scheduled_seconds < begin for record in run.records)
    inputs = inputs_of(plan, len(run.records))
    usage = prometheus.usage(TUNED_PODS, window.begins, window.ends)
    load = figures(part, plan.objective_seconds)
    return Measured(
        load=load,
        cpu_seconds_per_answer=cpu_seconds_per_answer(load, usage),
        hit_share=hit_share(usage),
        repeat_share=repeated_share(inputs, first, first + len(part.records)),
        accuracy=prometheus.accuracy(TUNED_PODS, window.ends),
    )


def cpu_seconds_per_answer(load: Figures, usage: Usage) -> float | None:
    """Return the CPU time that the serving containers used for each ok answer."""
    if usage.cpu_cores is None or load.answered == 0:
        return None
    return usage.cpu_cores * load.duration_seconds / load.answered


def hit_share(usage: Usage) -> float | None:
    """Return the share of cache look-ups that were hits; None where nothing was looked up: the cache is off."""
    hits, misses = usage.cache_hits_per_second or 0.0, usage.cache_misses_per_second or 0.0
    return hits / (hits + misses) if hits + misses > 0 else None
