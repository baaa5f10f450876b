"""What is measured of each pod by those that follow a mean over pods."""

from __future__ import annotations

from typing import Literal

from bench.scaling.rival import PodView, Profile
from bench.scaling.rivals.offline import sequences_at_objective

PodMetric = Literal["requests", "kv_ratio"]


def value_of(pod: PodView, metric: PodMetric) -> float:
    """Return the requests that wait and run in a pod, or its share of the KV cache."""
    return pod.kv_ratio if metric == "kv_ratio" else float(pod.concurrency)


def full_value(metric: PodMetric, profile: Profile) -> float:
    """Return what a target is a ratio of: the whole KV cache, or the requests that run within the objective."""
    return 1.0 if metric == "kv_ratio" else float(sequences_at_objective(profile))
