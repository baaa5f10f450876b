"""NVIDIA Dynamo's planner of today for workers that read prompts and decode (`agg`), aimed at objectives (`sla`).

Two loops: a slow one that predicts the traffic and sets the least replicas, and a fast one that looks at the queue of
each worker and adds or removes one. Source: components/src/dynamo/planner/core (load_scaling.py, throughput_scaling.py,
load/predictors.py) of ai-dynamo/dynamo.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from bench.kalman import LocalTrend
from bench.scaling.rival import FleetView, PodView, Profile

MOST_CHANGE = 8
"""Replicas that the slow loop may ask for more or fewer at a time."""


@dataclass(frozen=True)
class Settings:
    """The defaults of the planner, but for its predictor (ARIMA). `objective_ratio` tightens what it is aimed at."""

    predictor: Literal["kalman", "constant"] = "kalman"
    objective_ratio: float = 1.0
    down_sensitivity_ratio: float = 0.8
    throughput_seconds: float = 180.0


SPACE: Mapping[str, tuple[object, ...]] = {
    "predictor": ("kalman", "constant"),
    "objective_ratio": (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    "down_sensitivity_ratio": (0.4, 0.6, 0.8, 0.9),
    "throughput_seconds": (60.0, 180.0, 300.0),
}


class Dynamo:
    """The planner, with what is true of a replica in place of its regressions and its profiler."""

    period_seconds = 5.0
    scraped = False

    def __init__(self, settings: Settings, profile: Profile) -> None:
        self._throughput = Throughput(settings, profile)
        self._load = Load(settings, profile)
        self._throughput_seconds = settings.throughput_seconds
        self._throughput_at: float | None = None

    def wants(self, view: FleetView) -> int:
        """Return what is asked for now while a change is under way."""
        if self._throughput_at is None:
            self._throughput_at = view.now + self._throughput_seconds
        wanted = view.wanted
        if len(view.ready) == view.wanted:
            prompt_tokens = view.traffic(self._throughput_seconds).prompt_tokens
            wanted = max(self._load.replicas(view.ready, prompt_tokens), self._throughput.least)
        if view.now >= self._throughput_at:
            self._throughput.observe(view)
            self._throughput_at = view.now + self._throughput_seconds
        return wanted


class Throughput:
    """The slow loop: requests, prompt and output tokens of the next interval are predicted each on its own."""

    def __init__(self, settings: Settings, profile: Profile) -> None:
        self._settings = settings
        self._profile = profile
        self._predictors = [predictor_of(settings.predictor) for _ in range(3)]
        self.least = 1
        """The least replicas, for the fast loop."""

    def observe(self, view: FleetView) -> None:
        """Take the last interval, unless nothing was answered in it, and predict the next.

        Where one replica does not meet the objectives of such requests even alone, the least stays.
        """
        seconds = self._settings.throughput_seconds
        traffic = view.traffic(seconds)
        if not traffic.finished_rps:
            return
        observed = (traffic.finished_rps * seconds, traffic.prompt_tokens, traffic.output_tokens)
        requests, prompt, output = (predict(value) for predict, value in zip(self._predictors, observed, strict=True))
        carried_rps = self._profile.carries_rps(prompt, output) if min(prompt, output) > 0 else 0.0
        if carried_rps > 0:
            carried_rps *= self._settings.objective_ratio
            self.least = least_replicas(requests / seconds, carried_rps, len(view.ready))


def least_replicas(demand_rps: float, carried_rps: float, ready: int) -> int:
    """Return the replicas that carry a demand, near enough to those that are ready."""
    needed = max(1, math.ceil(demand_rps / carried_rps))
    return max(1, min(max(needed, ready - MOST_CHANGE), ready + MOST_CHANGE))


def predictor_of(name: Literal["kalman", "constant"]) -> Callable[[float], float]:
    """Return what takes a value and returns what it expects of the next."""
    return LocalTrend().observe if name == "kalman" else lambda value: value


class Load:
    """The fast loop: one more where every worker is over an objective, one fewer where the rest would be under all."""

    def __init__(self, settings: Settings, profile: Profile) -> None:
        self._profile = profile
        self._sensitivity = settings.down_sensitivity_ratio
        self._ttft_seconds = settings.objective_ratio * profile.objectives.ttft_seconds
        self._tpot_seconds = settings.objective_ratio * profile.objectives.tpot_seconds

    def replicas(self, workers: tuple[PodView, ...], prompt_tokens: float) -> int:
        """Return the replicas, where all that are asked for work. `prompt_tokens` is the mean of late."""
        count = len(workers)
        first = [self._ttft(each.waiting * prompt_tokens, prompt_tokens, each.running) for each in workers]
        per_token = [self._profile.tpot_of_running(each.running + 1) for each in workers]
        if min(first) > self._ttft_seconds or min(per_token) > self._tpot_seconds:
            return count + 1
        if count > 1 and all(self._spares(each, prompt_tokens, count / (count - 1)) for each in workers):
            return count - 1
        return count

    def _spares(self, worker: PodView, prompt_tokens: float, growth: float) -> bool:
        """Return whether a worker with so many times its load stays well within its objectives and its cache."""
        queued_tokens = worker.waiting * prompt_tokens * growth
        alone = self._ttft(0.0, prompt_tokens, worker.running * growth)
        queueing = self._ttft(queued_tokens, prompt_tokens, worker.running * growth) - alone
        held_tokens = worker.kv_tokens * growth + queued_tokens
        each = self._profile.tpot_of_running((worker.running + worker.waiting) * growth + 1)
        return (
            queueing < (self._ttft_seconds - alone) * self._sensitivity
            and held_tokens < self._profile.kv_tokens
            and each < self._tpot_seconds * self._sensitivity
        )

    def _ttft(self, queued_tokens: float, prompt_tokens: float, running: float) -> float:
        """Return the seconds until a request that comes now has its first token: the queue, itself and a step."""
        return self._profile.ttft_of_tokens(queued_tokens + prompt_tokens) + self._profile.tpot_of_running(running)
