"""A tuned stage whose changed pods begin to break their guards at a moment of the test's choice, seen through scrapes.

What Prometheus answers follows from counters that are scraped: an increase over a window is that between the first and
the last sample in it, extrapolated to the window, as Prometheus does it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from fakes.tuned_stage import TRIAL, Tuned
from fakes.world import NAMESPACE

from trimtab_operator.kube.resources import DEPLOYMENTS, PODS
from trimtab_operator.model.signals import Signal

LATENCY = {"latency": {"percentile": 95, "max": "100ms"}}
USUAL_LATE = 0.01
SCRAPE_PHASE_SECONDS = 2.0  # scrapes lie between the ticks


class Breach(Tuned):
    """Equal replicas; of the answers of `breaking` pods `late` and `failed` (shares) are so from `begins_at` on."""

    gain = 1.0
    replicas: int = 2
    late: float = USUAL_LATE
    failed: float = 0.0
    begins_at: float = math.inf
    ends_at: float = math.inf
    breaking: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.load.requests_per_second = 8.5 * self.replicas
        self.kube.edit(DEPLOYMENTS, NAMESPACE, "llama", {"spec": {"replicas": self.replicas}})
        self.kube.settle(NAMESPACE, "llama")
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

    def begin(self, trial: dict[str, Any], after_seconds: float = 0.0, newest: int = 1, **shares: float) -> None:
        """The pods that this trial changed last break their guards from then on; earlier scrapes stay as they were."""
        changed = trial["status"]["changed"][-newest:]
        self.breaking = tuple(pod["name"] for pod in trial["spec"]["pods"] if pod["uid"] in changed)
        self.begins_at = self.clock.now() + after_seconds
        self.late, self.failed = shares.get("late", USUAL_LATE), shares.get("failed", 0.0)

    async def run_to_changed(self, pods: int) -> dict[str, Any]:
        """Run until so many pods have the change."""
        return await self._run_until(lambda trial: len(trial["status"].get("changed", [])) == pods)

    async def run_to_turn(self, number: int) -> dict[str, Any]:
        """Run until so many periods of a switchback with the change were noted, the last of them just now."""

        def is_there(trial: dict[str, Any]) -> bool:
            arms = [period["arm"] for period in trial["status"].get("periods", [])]
            return arms.count("Canary") == number and arms[-1] == "Canary"

        return await self._run_until(is_there)

    async def _run_until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        for _ in range(1800):
            await self.run(1.0)
            found = self.trials()
            if found and holds({"status": {}} | found[-1]):
                return found[-1]
        raise AssertionError(f"it never came to that: {self.trials()} {self.status()}")

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
        bad_seconds = self._bad_seconds(pod, first, last) if pod in self.breaking else 0.0
        good_seconds = last - first - bad_seconds
        each = self._share(at) / (last - first) * window
        return each * (good_seconds * before + bad_seconds * after)

    def _bad_seconds(self, pod: str, first: float, last: float) -> float:
        return max(0.0, min(last, self.ends_at) - max(first, self.begins_at))


class BreachByTurns(Breach):
    """One replica, which breaks its guards only while it has the change."""

    replicas = 1

    async def seconds_to_abort(self) -> float:
        """Run until the trial is being taken back; seconds since the breach began in the turn that showed it."""
        await super().seconds_to_abort()
        return self.clock.now() - max(self.begins_at, self._turns(self.breaking[0])[-1][0])

    def _bad_seconds(self, pod: str, first: float, last: float) -> float:
        turns = ((max(first, begin, self.begins_at), min(last, end)) for begin, end in self._turns(pod))
        return sum(max(0.0, end - begin) for begin, end in turns)

    def _turns(self, pod: str) -> list[tuple[float, float]]:
        """From when to when the engine ran with the change."""
        changes = [*self.fleet.changes.get(self.kube.uid(PODS, pod), []), (math.inf, self.fleet.started)]
        return [(begin, end) for (begin, settings), (end, _) in pairwise(changes) if settings["maxBatchSize"] > 1]
