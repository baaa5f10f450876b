"""Every measure of the bench: its name, which sweep it needs, how long it is planned to take, and how it is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.engine import plan
from bench.engine.extent import Extent
from bench.engine.measures import (
    capacity,
    endurance,
    framework_cost,
    front_memory,
    latency_model,
    live_changes,
    not_run,
    overload,
)
from bench.engine.results import Result
from bench.engine.run import Run


@dataclass(frozen=True)
class Measure:
    """One measure; `workloads` are swept before it, in this order."""

    seconds: Callable[[Extent], float]
    run: Callable[[Run], list[Result]]
    workloads: tuple[str, ...] = ()


MEASURES: dict[str, Measure] = {
    "framework-cost": Measure(plan.framework_cost_seconds, framework_cost.measure, ("trivial",)),
    "front-memory": Measure(lambda _: 10.0, front_memory.measure),
    "live": Measure(plan.live_seconds, live_changes.measure),
    "capacity": Measure(
        lambda extent: plan.climb_seconds(extent, 4), lambda run: capacity.measure(capacity.MINILM, run), ("minilm",)
    ),
    "overload": Measure(
        lambda extent: plan.overload_seconds(extent, 4, len(overload.STEPS)), overload.measure, ("minilm",)
    ),
    "mixed": Measure(
        lambda extent: plan.climb_seconds(extent, 4),
        lambda run: capacity.measure(capacity.MIXED, run),
        ("minilm", "mixed"),
    ),
    "paced": Measure(
        lambda extent: plan.climb_seconds(extent, 3), lambda run: capacity.measure(capacity.PACED, run), ("paced",)
    ),
    "endurance": Measure(plan.endurance_seconds, endurance.measure),
    "latency-model": Measure(plan.batching_seconds, latency_model.measure),
    "elsewhere": Measure(lambda _: 0.0, not_run.measure),
}
