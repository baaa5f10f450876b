"""A target that batches continuously, as vLLM does, in one tick: so many sequences at each replica over time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist, fmean
from typing import Any

from fakes.builders import NOW, a_distribution, a_reading, a_snapshot, a_target

from trimtab_operator.model.signals import Buckets, Point, Reading, Series, Signal, SignalState
from trimtab_operator.model.snapshot import Snapshot, Target

STEP_SECONDS = 15.0
SPREAD = 0.8
VLLM_BOUNDS = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, math.inf)
FIRST_TOKEN = {"timeToFirstToken": {"percentile": 95, "max": "1s"}}


def log_normal(mean_seconds: float, spread: float, requests: float = 1e6) -> Buckets:
    """The buckets that a log-normal duration fills: `spread` is the sd of its logarithm."""
    middle = math.log(mean_seconds) - spread**2 / 2.0
    below = (NormalDist(middle, spread).cdf(math.log(bound)) for bound in VLLM_BOUNDS[:-1])
    return Buckets(VLLM_BOUNDS, (*(requests * share for share in below), requests))


def log_normal_percentile(percent: float, mean_seconds: float, spread: float) -> float:
    """A percentile of the same duration, in seconds."""
    score = NormalDist().inv_cdf(percent / 100.0)
    return mean_seconds * math.exp(score * spread - spread**2 / 2.0)


def over_time(signal: Signal, values: Sequence[float], pods: int, now: float = NOW) -> Series:
    """A series of these values, the last of them now."""
    times = [now - STEP_SECONDS * (len(values) - 1 - place) for place in range(len(values))]
    points = tuple(Point(at, value, pods) for at, value in zip(times, values, strict=True))
    return Series(signal, SignalState.OK, f"query({signal})", points)


def batching(
    running: Sequence[float],
    *,
    replicas: int = 2,
    target: Target | None = None,
    pressure: float = 1.0,
    waiting: float = 0.0,
    token_seconds: Sequence[float] = (),
    kv: float = 0.1,
    requests: float = 1e6,
    answers_rps: float = 10.0,
    readings: Mapping[Signal, Reading] | None = None,
    history: Mapping[Signal, Series] | None = None,
    **overrides: Any,
) -> Snapshot:
    """`running` sequences at each replica, oldest first, the last now; p95 of the first token is `pressure` seconds.

    With other sequences it was as their number and 30. `answers_rps` are those of all replicas.
    """
    made = target or a_target(replicas, runtime="vllm")
    names = [pod.name for pod in made.ready_pods]
    mean = pressure / log_normal_percentile(95.0, 1.0, SPREAD)
    per_pod = {Signal.RUNNING_REQUESTS: running[-1], Signal.KV_CACHE_USED_RATIO: kv}
    values = {
        Signal.RUNNING_REQUESTS: [len(names) * n for n in running],
        Signal.QUEUE_REQUESTS: [waiting] * len(running),
        Signal.REQUESTS_PER_SECOND: [answers_rps] * len(running),
        Signal.TIME_TO_FIRST_TOKEN_MEAN_SECONDS: [mean * (30.0 + n) / (30.0 + running[-1]) for n in running],
        Signal.INTER_TOKEN_LATENCY_MEAN_SECONDS: token_seconds,
    }
    series = {signal: over_time(signal, each, len(names)) for signal, each in values.items()}
    first_token = {name: log_normal(mean, SPREAD, requests / len(names)) for name in names}
    return a_snapshot(
        target=made,
        queue=waiting,
        readings={signal: a_reading(signal, dict.fromkeys(names, value)) for signal, value in per_pod.items()}
        | {Signal.BUSY_RATIO: a_reading(Signal.BUSY_RATIO, {})}
        | dict(readings or {}),
        distributions={
            Signal.TIME_TO_FIRST_TOKEN_SECONDS: a_distribution(Signal.TIME_TO_FIRST_TOKEN_SECONDS, first_token)
        },
        history=series | dict(history or {}),
        **overrides,
    )


def decoding(running: Sequence[float], half: float, sequence_seconds: float = 0.0005) -> list[float]:
    """The mean time between tokens over the last minute, of a replica whose steps take `half` sequences' time more."""
    recent = [running[max(0, place - 3) : place + 1] for place in range(len(running))]
    return [sequence_seconds * (half + fmean(each)) for each in recent]
