"""Kubernetes HPA (autoscaling/v2) on a Pods metric.

Source: pkg/controller/podautoscaler/replica_calculator.go of Kubernetes 1.36. Quantities are whole thousandths there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.scaling.rival import FleetView, PodView, Profile
from bench.scaling.rivals.hpa_behavior import Pace, behavior_of
from bench.scaling.rivals.offline import sequences_at_objective

Metric = Literal["requests", "kv_ratio"]


@dataclass(frozen=True)
class Settings:
    """The defaults of Kubernetes; the target has none there.

    `target_ratio` is of the KV cache, or of the requests that run in one replica within the objective per token.
    """

    metric: Metric = "requests"
    target_ratio: float = 0.7
    tolerance_ratio: float = 0.1
    up_stabilization_seconds: float = 0.0
    down_stabilization_seconds: float = 300.0


SPACE: Mapping[str, tuple[object, ...]] = {
    "metric": ("requests", "kv_ratio"),
    "target_ratio": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "tolerance_ratio": (0.05, 0.1, 0.2),
    "up_stabilization_seconds": (0.0, 30.0, 60.0),
    "down_stabilization_seconds": (60.0, 120.0, 300.0, 600.0),
}


class Hpa:
    """Keeps the mean of a metric over pods at a target."""

    period_seconds = 15.0
    scraped = True

    def __init__(self, settings: Settings, profile: Profile) -> None:
        self._settings = settings
        whole = 1 if settings.metric == "kv_ratio" else sequences_at_objective(profile)
        self._target = milli(settings.target_ratio * whole)
        self._pace = Pace(behavior_of(settings.up_stabilization_seconds, settings.down_stabilization_seconds))

    def wants(self, view: FleetView) -> int:
        """Return what is asked for now where no pod has the metric.

        A pod that is not ready runs, loads its model and exports nothing: its metric is missing.
        """
        values = [milli(self._value(pod)) for pod in view.ready]
        found = replicas_of_pods(
            view.wanted,
            values,
            self._target,
            self._settings.tolerance_ratio,
            pending=0,
            missing=len(view.pods) - len(values),
        )
        return view.wanted if found is None else self._pace.next(view.now, view.wanted, found)

    def _value(self, pod: PodView) -> float:
        return pod.kv_ratio if self._settings.metric == "kv_ratio" else float(pod.concurrency)


def replicas_of_pods(
    current: int, values: Sequence[int], target: int, tolerance_ratio: float, *, pending: int, missing: int
) -> int | None:
    """Return what a Pods metric recommends; None where no pod has a value.

    Args:
        current: replicas that are asked for now.
        values: the metric of each pod that has one, in thousandths.
        target: of each pod, in thousandths.
        tolerance_ratio: nothing changes while the metric is this near to the target.
        pending: pods that do not run yet; they count as idle where the metric is over its target.
        missing: pods that run without the metric; they count as idle over the target and as on target below it.
    """
    if not values:
        return None
    ratio = _ratio(values, target)
    assumed = [target if ratio < 1.0 else 0] * missing + [0] * (pending if ratio > 1.0 else 0)
    if not assumed:
        return current if within(ratio, tolerance_ratio) else math.ceil(ratio * len(values))
    counted = [*values, *(assumed if ratio != 1.0 else [])]
    corrected = _ratio(counted, target)
    if within(corrected, tolerance_ratio) or (ratio < 1.0 < corrected) or (corrected < 1.0 < ratio):
        return current
    recommended = math.ceil(corrected * len(counted))
    turned = recommended > current if corrected < 1.0 else recommended < current
    return current if turned else recommended


def replicas_of_total(pods: int, total: int, target: int, tolerance_ratio: float) -> int:
    """Return what an External metric with an AverageValue recommends: total and target in thousandths."""
    near = within(total / (target * pods), tolerance_ratio)
    return pods if near else math.ceil(total / target)


def within(ratio: float, tolerance_ratio: float) -> bool:
    """Return whether usage over target is too near to one for a change."""
    return 1.0 - tolerance_ratio <= ratio <= 1.0 + tolerance_ratio


def milli(value: float) -> int:
    """Return a quantity in thousandths, rounded up as Kubernetes does."""
    return math.ceil(round(1000.0 * value, 6))


def _ratio(values: Sequence[int], target: int) -> float:
    return (sum(values) // len(values)) / target
