"""KEDA: a ScaledObject with a Prometheus query, and the HPA that KEDA makes for it.

From one replica on, the HPA asks at its own period and KEDA runs the query then; `pollingInterval` is of the way from
zero to one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.scaling.rival import FleetView, Profile
from bench.scaling.rivals.hpa_behavior import pace_of
from bench.scaling.rivals.hpa_metric import Tolerance, milli, replicas_of_total
from bench.scaling.rivals.offline import sequences_at_objective

Query = Literal["requests", "arrivals"]
RATE_SECONDS = 60.0


@dataclass(frozen=True)
class Settings:
    """The defaults of KEDA and Kubernetes; the threshold has none there.

    `threshold_ratio` is of what one replica carries within the objectives: requests in it, or their rate.
    Without `up_stabilization_seconds` the HPA has no `behavior`.
    """

    query: Query = "requests"
    threshold_ratio: float = 0.7
    tolerance_ratio: float = 0.1
    up_stabilization_seconds: float | None = None
    down_stabilization_seconds: float = 300.0


SPACE: Mapping[str, tuple[object, ...]] = {
    "query": ("requests", "arrivals"),
    "threshold_ratio": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    "tolerance_ratio": (0.05, 0.1, 0.2),
    "up_stabilization_seconds": (None, 0.0, 30.0, 60.0),
    "down_stabilization_seconds": (60.0, 120.0, 300.0, 600.0),
}


class Keda:
    """One replica for each threshold of the total."""

    period_seconds = 15.0
    scraped = True

    def __init__(self, settings: Settings, profile: Profile) -> None:
        self._settings = settings
        self._sequences = sequences_at_objective(profile)
        self._carries_rps = profile.carries_rps
        self._tolerance = Tolerance(settings.tolerance_ratio, settings.tolerance_ratio)
        self._pace = pace_of(settings.up_stabilization_seconds, settings.down_stabilization_seconds)

    def wants(self, view: FleetView) -> int:
        """Return what is asked for now where the query has no answer: nobody knows what one replica carries."""
        measured = self._requests(view) if self._settings.query == "requests" else self._arrivals(view)
        found = None if measured is None else self._recommended(len(view.pods), *measured)
        return self._pace.next(view.now, view.wanted, found)

    def _recommended(self, pods: int, total: float, carried: float) -> int:
        threshold = milli(self._settings.threshold_ratio * carried)
        return replicas_of_total(pods, milli(total), threshold, self._tolerance)

    def _requests(self, view: FleetView) -> tuple[float, float]:
        return view.gateway_waiting + sum(pod.concurrency for pod in view.ready), self._sequences

    def _arrivals(self, view: FleetView) -> tuple[float, float] | None:
        traffic = view.traffic(RATE_SECONDS)
        if not traffic.finished_rps:
            return None
        carried = self._carries_rps(traffic.prompt_tokens, traffic.output_tokens)
        return (traffic.arrived_rps, carried) if carried > 0 else None
