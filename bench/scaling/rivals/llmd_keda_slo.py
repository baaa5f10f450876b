"""llm-d's KEDA with its endpoint picker, SLO-aware: latency of late over the objectives makes the replicas.

Source: guides/workload-autoscaling/README.slo-aware.md of llm-d.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.scaling.rival import FleetView, Floats, Profile
from bench.scaling.rivals.hpa_behavior import Behavior, BehaviorPace, Policy, Rules
from bench.scaling.rivals.hpa_metric import Tolerance, milli, replicas_of_total
from bench.scaling.rivals.windows import Window

RATE_SECONDS = 60.0
UP_POLICIES = (Policy("Percent", 100, 60.0), Policy("Pods", 4, 60.0))
DOWN_POLICIES = (Policy("Pods", 1, 120.0),)


@dataclass(frozen=True)
class Settings:
    """The values of the guide. Ratios are of the objectives."""

    quantile: float = 0.9
    most_ratio: float = 2.0
    smoothing_seconds: float = 45.0
    up_ratio: float = 0.55
    down_ratio: float = 0.40
    up_stabilization_seconds: float = 30.0
    down_stabilization_seconds: float = 180.0


SPACE: Mapping[str, tuple[object, ...]] = {
    "quantile": (0.9, 0.95, 0.99),
    "up_ratio": (0.55, 0.65, 0.75, 0.85, 0.95),
    "down_ratio": (0.2, 0.3, 0.4, 0.5),
    "smoothing_seconds": (15.0, 45.0, 90.0),
    "down_stabilization_seconds": (60.0, 180.0, 600.0),
}


class LlmdKedaSlo:
    """Grows and shrinks in proportion to how near the latency is to its objectives."""

    period_seconds = 15.0
    scraped = True

    def __init__(self, settings: Settings, profile: Profile) -> None:
        self._settings = settings
        self._objectives = profile.objectives
        self._saturation = Window[float](settings.smoothing_seconds)
        self._pace = BehaviorPace(
            Behavior(
                up=Rules(settings.up_stabilization_seconds, UP_POLICIES),
                down=Rules(settings.down_stabilization_seconds, DOWN_POLICIES),
            )
        )

    def wants(self, view: FleetView) -> int:
        """Return the replicas of the formula at the pace of the guide's behavior."""
        self._saturation.record(view.now, self._saturated(view))
        desired = replicas_of(self._saturation.mean(view.now), view.wanted, len(view.ready), self._settings)
        found = replicas_of_total(len(view.pods), milli(desired), milli(1), Tolerance())
        return self._pace.next(view.now, view.wanted, found)

    def _saturated(self, view: FleetView) -> float:
        """Return the worse of both latencies over its objective, bounded; 0 where nothing was answered."""
        traffic = view.traffic(RATE_SECONDS)
        first = _quantile(traffic.ttft_seconds, self._settings.quantile) / self._objectives.ttft_seconds
        each = _quantile(traffic.tpot_seconds, self._settings.quantile) / self._objectives.tpot_seconds
        return min(max(first, each), self._settings.most_ratio)


def replicas_of(saturation_ratio: float, replicas: int, ready: int, settings: Settings) -> int:
    """Return the replicas of the control law.

    On the way up, pods that start are credited: only what they will not carry is asked for, and nothing is given back.
    """
    if saturation_ratio > settings.up_ratio:
        credit = ready / replicas if 0 < ready < replicas else 1.0
        more = math.ceil(replicas * (saturation_ratio * credit / settings.up_ratio - 1.0))
        return replicas + max(0, more)
    if saturation_ratio < settings.down_ratio:
        return replicas - math.floor(replicas * (1.0 - saturation_ratio / settings.down_ratio))
    return replicas


def _quantile(seconds: Floats, quantile: float) -> float:
    return float(np.quantile(seconds, quantile)) if seconds.size else 0.0
