"""AIBrix's APA, as published and mended.

As published (commit e3e10f9e): `stabilizeRecommendation` goes down to the lowest recommendation of its window where HPA
goes to the highest, and pods that start are no part of the mean but of the replicas that it multiplies. Mended: HPA's
window, and pods that start count as idle on the way up and as on target on the way down (pull request 2671).
Source: pkg/controller/podautoscaler/algorithm/apa.go, metrics/client.go and podautoscaler_controller.go there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bench.scaling.rival import FleetView, Profile
from bench.scaling.rivals.pod_metric import PodMetric, full_value, value_of
from bench.scaling.rivals.windows import Window

BUCKET_SECONDS = 1.0


@dataclass(frozen=True)
class Settings:
    """The defaults of AIBrix, and the metric and target of its samples.

    `target_ratio` is of the KV cache, or of the requests that run in one replica within the objective per token.
    """

    metric: PodMetric = "kv_ratio"
    target_ratio: float = 0.5
    window_seconds: float = 180.0
    tolerance_ratio: float = 0.1
    max_up_rate: float = 2.0
    max_down_rate: float = 2.0
    down_cooldown_seconds: float = 300.0


SPACE: Mapping[str, tuple[object, ...]] = {
    "metric": ("requests", "kv_ratio"),
    "target_ratio": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "window_seconds": (30.0, 60.0, 180.0),
    "tolerance_ratio": (0.05, 0.1, 0.2),
    "down_cooldown_seconds": (60.0, 300.0, 600.0),
}


class AibrixApa:
    """Multiplies the replicas by the mean of a metric over its target."""

    period_seconds = 10.0
    scraped = False

    def __init__(self, settings: Settings, profile: Profile, *, mended: bool) -> None:
        self._settings = settings
        self._mended = mended
        self._target = settings.target_ratio * full_value(settings.metric, profile)
        # A bucket that is exactly as old as the window still counts there.
        self._usage = Window[float](settings.window_seconds + BUCKET_SECONDS)
        self._recommended = Window[int](settings.down_cooldown_seconds)

    def wants(self, view: FleetView) -> int:
        """Return what is asked for now where no pod answers with the metric."""
        values = [value_of(pod, self._settings.metric) for pod in view.ready]
        if not values:
            return view.wanted
        self._usage.record(view.now, sum(values) / len(values))
        ratio = self._usage.mean(view.now) / self._target
        if self._mended:
            ratio = of_all_pods(ratio, len(values), view.wanted)
        return self._stabilized(view.now, view.wanted, recommended(view.wanted, ratio, self._settings))

    def _stabilized(self, now: float, current: int, replicas: int) -> int:
        self._recommended.record(now, replicas)
        if replicas >= current:
            return replicas
        of_late = [replicas, *self._recommended.after(now - self._settings.down_cooldown_seconds)]
        return min(current, max(of_late)) if self._mended else min(of_late)


def recommended(current: int, ratio: float, settings: Settings) -> int:
    """Return the replicas for a usage that is so many times the target; at least one."""
    if ratio > 1.0 + settings.tolerance_ratio:
        return min(math.ceil(current * ratio), math.ceil(settings.max_up_rate * current))
    if ratio < 1.0 - settings.tolerance_ratio:
        return max(math.ceil(current * ratio), math.floor(current / settings.max_down_rate), 1)
    return current


def of_all_pods(ratio: float, ready: int, current: int) -> float:
    """Return the ratio with pods that start: idle where usage is over its target, on target where it is below."""
    starting = max(0, current - ready)
    if ratio > 1.0:
        return max(1.0, ratio * ready / (ready + starting))
    return (ratio * ready + starting) / (ready + starting)
