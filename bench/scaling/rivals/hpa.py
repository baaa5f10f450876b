"""Kubernetes HPA (autoscaling/v2) on a Pods metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.scaling.rival import FleetView, PodView, Profile
from bench.scaling.rivals.hpa_behavior import pace_of
from bench.scaling.rivals.hpa_metric import Tolerance, milli, replicas_of_pods
from bench.scaling.rivals.offline import sequences_at_objective

Metric = Literal["requests", "kv_ratio"]


@dataclass(frozen=True)
class Settings:
    """The defaults of Kubernetes; the target has none there.

    `target_ratio` is of the KV cache, or of the requests that run in one replica within the objective per token.
    Without `up_stabilization_seconds` the HPA has no `behavior`.
    """

    metric: Metric = "requests"
    target_ratio: float = 0.7
    tolerance_ratio: float = 0.1
    up_stabilization_seconds: float | None = None
    down_stabilization_seconds: float = 300.0


SPACE: Mapping[str, tuple[object, ...]] = {
    "metric": ("requests", "kv_ratio"),
    "target_ratio": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "tolerance_ratio": (0.05, 0.1, 0.2),
    "up_stabilization_seconds": (None, 0.0, 30.0, 60.0),
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
        self._tolerance = Tolerance(settings.tolerance_ratio, settings.tolerance_ratio)
        self._pace = pace_of(settings.up_stabilization_seconds, settings.down_stabilization_seconds)

    def wants(self, view: FleetView) -> int:
        """Return the replicas. A pod that is not ready loads its model and exports nothing: its metric is missing."""
        values = [milli(self._value(pod)) for pod in view.ready]
        missing = len(view.pods) - len(values)
        found = replicas_of_pods(view.wanted, values, self._target, self._tolerance, pending=0, missing=missing)
        return self._pace.next(view.now, view.wanted, found)

    def _value(self, pod: PodView) -> float:
        return pod.kv_ratio if self._settings.metric == "kv_ratio" else float(pod.concurrency)
