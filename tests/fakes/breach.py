"""A tuned stage whose canary begins to break its guards at a moment of the test's choice, seen through scrapes.

What Prometheus answers follows from counters that are scraped: an increase over a window is that between the first and
the last sample in it, extrapolated to the window, as Prometheus does it.
"""

from __future__ import annotations

import math
from typing import Any

from fakes.tuned_stage import TRIAL, Tuned

from trimtab_operator.model.signals import Signal

LATENCY = {"latency": {"percentile": 95, "max": "100ms"}}
USUAL_LATE = 0.01
SCRAPE_PHASE_SECONDS = 2.0  # scrapes lie between the ticks


class Breach(Tuned):
    """Two equal replicas; of the canary's answers `late` and `failed` (shares) are so from `begins_at` on."""

    gain = 1.0
    late: float = USUAL_LATE
    failed: float = 0.0
    begins_at: float = math.inf
    ends_at: float = math.inf
    canary: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.prometheus.windowed = {
            Signal.LATENCY_SECONDS: self._latencies,
            Signal.REQUESTS_PER_SECOND: lambda pod, at, window: {"": self._grown(pod, at, window, 1.0, 1.0) / window},
            Signal.ERRORS_PER_SECOND: lambda pod, at, window: {
                "": self._grown(pod, at, window, 0.0, self.failed) / window
            },
        }

    def watch(self, scrape_seconds: float, **spec: Any) -> None:
        """Apply a policy that looks every 5 s."""
        self.prometheus.scrape_interval_seconds = scrape_seconds
        self.tune(**{"objectives": LATENCY, "observation": {"interval": "5s", "window": "5m"}, "trial": TRIAL, **spec})

    def begin(self, trial: dict[str, Any], after_seconds: float = 0.0, **shares: float) -> None:
        """The canary of this trial breaks its guards from then on; earlier scrapes stay as they were."""
        self.canary = next(pod["name"] for pod in trial["spec"]["pods"] if pod["arm"] == "Canary")
        self.begins_at = self.clock.now() + after_seconds
        self.late, self.failed = shares.get("late", USUAL_LATE), shares.get("failed", 0.0)

    async def seconds_to_abort(self) -> float:
        """Run until the trial is being taken back; seconds since the breach began."""
        trial = await self.run_to("Reverting", seconds=900.0)
        assert trial["status"]["violations"] == 1, trial["status"]
        return self.clock.now() - self.begins_at

    def _latencies(self, pod: str, at: float, window: float) -> dict[str, float]:
        count, late = (self._grown(pod, at, window, *shares) for shares in ((1.0, 1.0), (USUAL_LATE, self.late)))
        return {"0.1": count - late, "1.0": count, "+Inf": count}

    def _grown(self, pod: str, at: float, window: float, before: float, after: float) -> float:
        """A counter's increase over a window; NaN where it holds fewer than two scrapes."""
        scrape = self.prometheus.scrape_interval_seconds
        last = math.floor((at - SCRAPE_PHASE_SECONDS) / scrape) * scrape + SCRAPE_PHASE_SECONDS
        first = last - math.ceil((last - (at - window)) / scrape - 1.0) * scrape
        if first >= last:
            return math.nan
        bad_seconds = max(0.0, min(last, self.ends_at) - max(first, self.begins_at)) if pod == self.canary else 0.0
        good_seconds = last - first - bad_seconds
        each = self._share(at) / (last - first) * window
        return each * (good_seconds * before + bad_seconds * after)
