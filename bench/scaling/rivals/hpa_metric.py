"""What a metric recommends to a HorizontalPodAutoscaler. Quantities are whole thousandths, as in Kubernetes.

Source: pkg/controller/podautoscaler/replica_calculator.go of Kubernetes 1.36.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """Nothing changes while usage is this near to its target."""

    down_ratio: float = 0.1
    up_ratio: float = 0.1

    def covers(self, usage_ratio: float) -> bool:
        """Return whether usage over its target is too near to one for a change."""
        return 1.0 - self.down_ratio <= usage_ratio <= 1.0 + self.up_ratio


def replicas_of_pods(
    current: int, values: Sequence[int], target: int, tolerance: Tolerance, *, pending: int, missing: int
) -> int | None:
    """Return what a Pods metric recommends; None where no pod has a value.

    Args:
        current: replicas that are asked for now.
        values: the metric of each pod that has one, in thousandths.
        target: of each pod, in thousandths.
        tolerance: how near to the target nothing changes.
        pending: pods that do not run yet; they count as idle where the metric is over its target.
        missing: pods that run without the metric; they count as idle over the target and as on target below it.
    """
    if not values:
        return None
    ratio = _ratio(values, target)
    assumed = [target if ratio <= 1.0 else 0] * missing + [0] * (pending if ratio > 1.0 else 0)
    if not assumed:
        return current if tolerance.covers(ratio) else math.ceil(ratio * len(values))
    counted = [*values, *assumed]
    corrected = _ratio(counted, target)
    if tolerance.covers(corrected) or corrected < 1.0 < ratio:
        return current
    recommended = math.ceil(corrected * len(counted))
    turned = recommended > current if corrected < 1.0 else recommended < current
    return current if turned else recommended


def replicas_of_total(pods: int, total: int, target: int, tolerance: Tolerance) -> int:
    """Return what an External metric with an AverageValue recommends: total and target in thousandths."""
    near = pods > 0 and tolerance.covers(total / (target * pods))
    return pods if near else math.ceil(total / target)


def milli(value: float) -> int:
    """Return a quantity in thousandths, rounded up as Kubernetes does."""
    return math.ceil(round(1000.0 * value, 6))


def _ratio(values: Sequence[int], target: int) -> float:
    return (sum(values) // len(values)) / target
