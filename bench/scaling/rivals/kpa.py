"""Knative's pod autoscaler (KPA) on concurrency.

Source: pkg/autoscaler/scaling/autoscaler.go of knative.dev/serving.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bench.scaling.rival import FleetView, Profile
from bench.scaling.rivals.offline import sequences_at_objective
from bench.scaling.rivals.windows import Window


@dataclass(frozen=True)
class Settings:
    """The defaults of Knative; `containerConcurrency` has none there.

    `concurrency_ratio` makes it of the requests that run in one replica within the objective per token.
    """

    concurrency_ratio: float = 1.0
    target_utilization_ratio: float = 0.7
    stable_seconds: float = 60.0
    panic_window_ratio: float = 0.1
    panic_threshold_ratio: float = 2.0
    max_up_rate: float = 1000.0
    max_down_rate: float = 2.0
    down_delay_seconds: float = 0.0
    activation_pods: int = 0


SPACE: Mapping[str, tuple[object, ...]] = {
    "concurrency_ratio": (0.2, 0.4, 0.6, 0.8, 1.0),
    "target_utilization_ratio": (0.5, 0.6, 0.7, 0.8, 0.9),
    "stable_seconds": (30.0, 60.0, 120.0, 300.0),
    "panic_threshold_ratio": (1.5, 2.0, 3.0),
    "down_delay_seconds": (0.0, 60.0, 300.0, 600.0),
}


class Kpa:
    """Follows the concurrency of the whole revision: over a long window, and over a short one while it panics."""

    period_seconds = 2.0
    scraped = False

    def __init__(self, settings: Settings, profile: Profile) -> None:
        self._settings = settings
        self._stable = Window[float](settings.stable_seconds)
        self._panic = Window[float](settings.stable_seconds * settings.panic_window_ratio)
        concurrency = settings.concurrency_ratio * sequences_at_objective(profile)
        self._target = settings.target_utilization_ratio * concurrency
        self._decider: Decider | None = None

    def wants(self, view: FleetView) -> int:
        """Return at least one."""
        ready = len(view.ready)
        if self._decider is None:
            self._decider = Decider(self._settings, self._target, view.now, ready)
        concurrency = float(view.gateway_waiting + sum(pod.concurrency for pod in view.ready))
        self._stable.record(view.now, concurrency)
        self._panic.record(view.now, concurrency)
        return max(1, self._decider.decide(view.now, ready, self._stable.mean(view.now), self._panic.mean(view.now)))


class Decider:
    """The decision from both means. It starts in panic where more than one pod serves: its metrics have no past yet."""

    def __init__(self, settings: Settings, target: float, now: float, ready: int) -> None:
        self._settings = settings
        self._target = target
        self._panics_since = now if ready > 1 else None
        self._most_in_panic = ready
        self._delayed = Window[int](settings.down_delay_seconds)

    def decide(self, now: float, ready: int, stable_concurrency: float, panic_concurrency: float) -> int:
        """Return the pods to ask for; 0 where nothing comes and the rate of going down allows it."""
        pods = max(1, ready)
        self._panic_or_calm(now, math.ceil(panic_concurrency / self._target) / pods)
        wanted = self._bounded(pods, stable_concurrency)
        if self._panics_since is not None:
            wanted = max(wanted, self._bounded(pods, panic_concurrency), self._most_in_panic)
            self._most_in_panic = wanted
        self._delayed.record(now, wanted)
        return max([wanted, *self._delayed.after(now - self._settings.down_delay_seconds)])

    def _panic_or_calm(self, now: float, overload_ratio: float) -> None:
        """Panic at the threshold; calm down a stable window after the last time at it."""
        if overload_ratio >= self._settings.panic_threshold_ratio:
            self._panics_since = now
        elif self._panics_since is not None and self._panics_since + self._settings.stable_seconds < now:
            self._panics_since, self._most_in_panic = None, 0

    def _bounded(self, pods: int, concurrency: float) -> int:
        """Return the pods for a concurrency, as far from the present ones as the rates allow; not few to begin with."""
        needed = math.ceil(concurrency / self._target)
        most = math.ceil(self._settings.max_up_rate * pods)
        least = math.floor(pods / self._settings.max_down_rate)
        bounded = min(max(needed, least), most)
        return max(bounded, self._settings.activation_pods) if needed else bounded
