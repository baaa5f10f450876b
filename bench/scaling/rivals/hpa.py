"""Kubernetes HPA (autoscaling/v2) on a Pods metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.scaling.rival import FleetView, Profile
from bench.scaling.rivals.hpa_behavior import pace_of
from bench.scaling.rivals.hpa_metric import Tolerance, milli, replicas_of_pods
from bench.scaling.rivals.pod_metric import PodMetric, full_value, value_of


@dataclass(frozen=True)
class Settings:
    """The defaults of Kubernetes; the target has none there.

    `target_ratio` is of the KV cache, or of the requests that run in one replica within the objective per token.
    Without `up_stabilization_seconds` the HPA has no `behavior`.
    """

    metric: PodMetric = "requests"
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
        self._target = milli(settings.target_ratio * full_value(settings.metric, profile))
        self._tolerance = Tolerance(settings.tolerance_ratio, settings.tolerance_ratio)
        self._pace = pace_of(settings.up_stabilization_seconds, settings.down_stabilization_seconds)

    def wants(self, view: FleetView) -> int:
        """Return the replicas. A pod that is not ready loads its model and exports nothing: its metric is missing."""
        values = [milli(value_of(pod, self._settings.metric)) for pod in view.ready]
        missing = len(view.pods) - len(values)
        found = replicas_of_pods(view.wanted, values, self._target, self._tolerance, pending=0, missing=missing)
        return self._pace.next(view.now, view.wanted, found)
