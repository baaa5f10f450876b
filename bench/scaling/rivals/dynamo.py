"""NVIDIA Dynamo's planner of today for workers that read prompts and decode (`agg`), aimed at objectives (`sla`).

What is true of a replica stands in for its profiler and its regressions.
Source: components/src/dynamo/planner of ai-dynamo 1.6; each loop has a file here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.scaling.rival import FleetView, PodView, Profile
from bench.scaling.rivals.dynamo_load import Estimates, Limits, growth_of, replicas_of_load
from bench.scaling.rivals.dynamo_throughput import Predictor, PredictorKind, TrafficPredictor, least_replicas


@dataclass(frozen=True)
class Settings:
    """The defaults of the planner, but for its predictor (ARIMA). `objective_ratio` tightens what it is aimed at."""

    predictor: PredictorKind = "kalman"
    logarithmic: bool = False
    objective_ratio: float = 1.0
    down_ratio: float = 0.8
    throughput_seconds: float = 180.0


SPACE: Mapping[str, tuple[object, ...]] = {
    "predictor": ("kalman", "constant"),
    "logarithmic": (False, True),
    "objective_ratio": (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    "down_ratio": (0.4, 0.6, 0.8, 0.9),
    "throughput_seconds": (60.0, 180.0, 300.0),
}


class Dynamo:
    """Both loops: the slow one sets the least replicas for the fast one."""

    period_seconds = 5.0
    scraped = False

    def __init__(self, settings: Settings, profile: Profile) -> None:
        self._settings = settings
        self._profile = profile
        self._limits = Limits(
            ttft_seconds=settings.objective_ratio * profile.objectives.ttft_seconds,
            tpot_seconds=settings.objective_ratio * profile.objectives.tpot_seconds,
            kv_tokens=profile.kv_tokens,
            down_ratio=settings.down_ratio,
        )
        self._traffic = TrafficPredictor(
            *(Predictor(settings.predictor, logarithmic=settings.logarithmic) for _ in range(3))
        )
        self._least = 1
        self._predicts_at: float | None = None

    def wants(self, view: FleetView) -> int:
        """Return the replicas. Nothing changes while none is ready, or workers go."""
        if self._predicts_at is None:
            self._predicts_at = view.now + self._settings.throughput_seconds
        if view.now >= self._predicts_at:
            self._least = self._by_traffic(view)
            self._predicts_at = view.now + self._settings.throughput_seconds
        found = self._by_load(view)
        return view.wanted if found is None else found

    def _by_load(self, view: FleetView) -> int | None:
        """Return what the fast loop asks for, if anything."""
        starting = len(view.pods) - len(view.ready)
        if not view.ready or (len(view.ready) != view.wanted and not starting):
            return None
        prompt_tokens = view.traffic(self._settings.throughput_seconds).prompt_tokens
        estimates = [self._estimates(each, prompt_tokens, growth_of(len(view.ready))) for each in view.ready]
        return replicas_of_load(estimates, starting, self._limits, self._least)

    def _estimates(self, worker: PodView, prompt_tokens: float, growth: float) -> Estimates:
        """Return what a request of the mean size sees in a worker."""
        queued_tokens, running = worker.waiting * prompt_tokens, worker.running
        return Estimates(
            ttft_seconds=self._ttft(queued_tokens + prompt_tokens, running),
            tpot_seconds=self._profile.tpot_of_running(running + 1),
            alone_seconds=self._ttft(prompt_tokens, running * growth),
            fewer_ttft_seconds=self._ttft(queued_tokens * growth + prompt_tokens, running * growth),
            fewer_tpot_seconds=self._profile.tpot_of_running((running + worker.waiting) * growth + 1),
            fewer_kv_tokens=(worker.kv_tokens + queued_tokens) * growth,
        )

    def _ttft(self, tokens: float, running: float) -> float:
        """Return the seconds to read so many tokens beside running sequences: alone, and a step of theirs."""
        return self._profile.ttft_of_tokens(tokens) + self._profile.tpot_of_running(running)

    def _by_traffic(self, view: FleetView) -> int:
        """Return the least replicas for the next interval."""
        seconds = self._settings.throughput_seconds
        seen = view.traffic(seconds)
        requests, prompt, output = self._traffic.next(
            seen.finished_rps * seconds, seen.prompt_tokens, seen.output_tokens
        )
        carried_rps = self._profile.carries_rps(prompt, output) if prompt > 0 and output > 0 else 0.0
        return least_replicas(requests / seconds, carried_rps * self._settings.objective_ratio, len(view.ready))
