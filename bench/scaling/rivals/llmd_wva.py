"""llm-d's Workload Variant Autoscaler (WVA) with the token capacity of its analyzer V2, for one variant.

It publishes a count every 30 seconds, and an HPA follows that one with the windows of the guide.
Source: internal/engines/analyzers/saturation_v2/analyzer.go and internal/engines/pipeline/cost_aware_optimizer.go of
llm-d-workload-variant-autoscaler; guides/workload-autoscaling/optimized-baseline-autoscaling/hpa.yaml of llm-d.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from bench.scaling.rival import FleetView, PodView, Profile, Traffic
from bench.scaling.rivals.hpa_behavior import Behavior, BehaviorPace, Policy, Rules
from bench.scaling.rivals.hpa_metric import Tolerance, milli, replicas_of_total

ANALYSIS_SECONDS = 30.0
RATE_SECONDS = 300.0
SHORT_OUTPUT_TOKENS, MEDIUM_OUTPUT_TOKENS = 100, 500
OBSERVATIONS = 10


@dataclass(frozen=True)
class Settings:
    """The defaults of WVA; `batched_tokens` is vLLM's `max-num-batched-tokens`."""

    up_threshold_ratio: float = 0.85
    down_boundary_ratio: float = 0.70
    kv_threshold_ratio: float = 0.80
    queue_threshold: int = 5
    batched_tokens: int = 8192
    up_stabilization_seconds: float = 120.0
    down_stabilization_seconds: float = 120.0


SPACE: Mapping[str, tuple[object, ...]] = {
    "up_threshold_ratio": (0.75, 0.85, 0.95),
    "down_boundary_ratio": (0.3, 0.4, 0.5, 0.6, 0.7),
    "kv_threshold_ratio": (0.1, 0.2, 0.3, 0.4, 0.6, 0.8),
    "queue_threshold": (1, 3, 5),
    "up_stabilization_seconds": (0.0, 30.0, 120.0),
    "down_stabilization_seconds": (120.0, 300.0, 600.0),
}


class LlmdWva:
    """Keeps the tokens that requests hold, or will, within the capacity of the replicas."""

    period_seconds = 15.0
    scraped = True

    def __init__(self, settings: Settings, profile: Profile) -> None:
        self._analyzer = Analyzer(settings, profile)
        policies = (Policy("Percent", 100, 15.0),)
        self._pace = BehaviorPace(
            Behavior(
                up=Rules(settings.up_stabilization_seconds, policies),
                down=Rules(settings.down_stabilization_seconds, policies),
            )
        )
        self._published: int | None = None
        self._analyzed_at = -math.inf

    def wants(self, view: FleetView) -> int:
        """Return what is asked for now while nothing is published: no pod was ready yet."""
        if view.now >= self._analyzed_at + ANALYSIS_SECONDS and view.ready:
            self._published, self._analyzed_at = self._analyzer.replicas(view), view.now
        if self._published is None:
            return view.wanted
        found = replicas_of_total(len(view.pods), milli(self._published), milli(1), Tolerance())
        return self._pace.next(view.now, view.wanted, found)


class Analyzer:
    """Demand and capacity in tokens. It learns what a replica holds while its queue is long, by length of answers."""

    def __init__(self, settings: Settings, profile: Profile) -> None:
        self._settings = settings
        self._profile = profile
        self._held: dict[str, deque[int]] = {}

    def replicas(self, view: FleetView) -> int:
        """Return the replicas for what ready pods (at least one) and the gateway hold. Pods that start are supply."""
        traffic = view.traffic(RATE_SECONDS)
        capacity = int(statistics.median(self._capacity(pod, traffic) for pod in view.ready))
        demand = sum(demand_tokens(pod, traffic) for pod in view.ready) + gateway_tokens(view, traffic)
        starting = max(0, view.wanted - len(view.ready))
        supply = len(view.ready) * capacity
        required = demand / self._settings.up_threshold_ratio - supply - starting * capacity
        if required > 0:
            return view.wanted + math.ceil(required / capacity)
        spare = supply - demand / self._settings.down_boundary_ratio
        return max(1, view.wanted - math.floor(spare / capacity)) if spare > 0 else view.wanted

    def _capacity(self, pod: PodView, traffic: Traffic) -> int:
        """Return the tokens that a replica holds at most: bound by its KV cache or by its compute."""
        by_memory = int(self._profile.kv_tokens * self._settings.kv_threshold_ratio)
        return min(by_memory, self._by_compute(pod, traffic) or by_memory)

    def _by_compute(self, pod: PodView, traffic: Traffic) -> int:
        """Return what was seen with a long queue: now, or of late, or what follows from the batch; 0 for unknown."""
        seen = self._held.setdefault(length_of(traffic.output_tokens), deque(maxlen=OBSERVATIONS))
        if pod.waiting >= self._settings.queue_threshold and pod.kv_tokens > 0:
            seen.append(int(pod.kv_tokens))
            return int(pod.kv_tokens)
        if seen:
            return int(statistics.fmean(seen))
        return batch_tokens(self._settings.batched_tokens, self._profile.max_sequences, traffic)


def batch_tokens(batched_tokens: int, max_sequences: int, traffic: Traffic) -> int:
    """Return the tokens in a batch that is full at all times; 0 where the length of answers is unknown."""
    prompt, output = traffic.prompt_tokens, traffic.output_tokens
    if output <= 0:
        return 0
    sequences = min(batched_tokens * output / (prompt + output), max_sequences)
    return int(sequences * (prompt + output / 2))


def demand_tokens(pod: PodView, traffic: Traffic) -> int:
    """Return the tokens in use and of the prompts that wait in a pod."""
    return int(pod.kv_tokens) + pod.waiting * int(traffic.prompt_tokens)


def gateway_tokens(view: FleetView, traffic: Traffic) -> float:
    """Return the tokens that requests at the gateway will hold."""
    prompts = max(view.gateway_prompt_tokens, view.gateway_waiting * traffic.prompt_tokens)
    return prompts + view.gateway_waiting * traffic.output_tokens


def length_of(output_tokens: float) -> str:
    """Return the class of answers by their mean length."""
    if output_tokens < SHORT_OUTPUT_TOKENS:
        return "short"
    return "medium" if output_tokens < MEDIUM_OUTPUT_TOKENS else "long"
