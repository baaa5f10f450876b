"""How full replicas are that batch continuously: sequences that run, over those at which an objective is just met.

A decoding step with n sequences takes a (h + n) seconds (Yu et al., Orca, OSDI 2022; vLLM alike), so a replica gives
n / (a (h + n)) tokens a second: load is linear in n / (h + n), not in n, nor in the KV cache that n take. `h`, the
sequences at which half of a step is their own, comes from a ridge regression of the mean time between tokens on n over
the past. Every duration of a request grows as h + n: an objective whose percentile is r times its limit is just met
with (h + n) / r - h sequences. That is not believed beyond twice as many as ever ran, nor where the KV cache would be
full, nor below half of the usual: a duration that fewer sequences do not shorten must not ask for ever more replicas.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from trimtab_api.objectives import ObjectiveName
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.quantities import parse_duration_seconds
from trimtab_operator.analysis import load, pods
from trimtab_operator.analysis.attainment import LATENCIES, latency_rules
from trimtab_operator.model import histogram, series
from trimtab_operator.model.arrays import Floats
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot

USUAL_HALF = 30.0
"""Sequences: what `h` is taken for until the past says more."""
LEAST_HALF, LARGEST_HALF = 4.0, 400.0
PRIOR_POINTS, PRIOR_SPREAD = 20.0, 0.3  # the usual value weighs as so many points whose n vary by that share
FULL_KV_RATIO = 0.9
BELIEVED_GROWTH = 2.0
LEAST_SHARE = 0.5
LARGEST_PRESSURE = 1.05  # beyond that queues make durations, not the sequences that run
FEWEST_RUNNING = 8.0  # below twice as many, growth is always believed
MEAN_SECONDS = 60.0  # one look at a batch is an instant of it

MEANS: dict[ObjectiveName, Signal] = {
    ObjectiveName.LATENCY: Signal.LATENCY_MEAN_SECONDS,
    ObjectiveName.TIME_TO_FIRST_TOKEN: Signal.TIME_TO_FIRST_TOKEN_MEAN_SECONDS,
    ObjectiveName.INTER_TOKEN_LATENCY: Signal.INTER_TOKEN_LATENCY_MEAN_SECONDS,
}


@dataclass(frozen=True)
class Occupancy:
    """Load in replicas that it would just fill, now and in the past, one value each `step_seconds`, oldest first.

    `running` are the sequences of one replica now, `full` those with which an objective is just met, `half` is `h`.
    """

    running: float
    full: float
    half: float
    load_replicas: float
    past_replicas: tuple[float, ...]
    step_seconds: float


@dataclass(frozen=True)
class _Past:
    """By time, oldest first: sequences of one replica, replicas, requests that wait, mean time between tokens (or NaN).

    The first three are means over about a minute. `full_cache` are the sequences that fill the KV cache, infinity where
    that is not known.
    """

    running: Floats
    replicas: Floats
    waiting: Floats
    token_seconds: Floats
    step_seconds: float
    full_cache: float


def occupancy(snapshot: Snapshot, policy: OptimizationPolicy) -> Occupancy | None:
    """Measure it; None where sequences, their times or an objective's percentile are not known."""
    past, pressure = _past(snapshot), _pressure(snapshot, policy)
    if past is None or pressure is None:
        return None
    running, half = _running(snapshot, past), _half(past)
    believed = BELIEVED_GROWTH * max(FEWEST_RUNNING, float(past.running.max()))
    least = max(1.0, LEAST_SHARE * float(np.median(past.running)))
    full = max(least, min((half + running) / pressure - half, believed, past.full_cache))
    load_replicas = past.replicas * past.running / (half + past.running) * (half + full) / full + past.waiting / full
    return Occupancy(
        running=running,
        full=full,
        half=half,
        load_replicas=float(load_replicas[-1]),
        past_replicas=tuple(load_replicas.tolist()),
        step_seconds=past.step_seconds,
    )


def _past(snapshot: Snapshot) -> _Past | None:
    """Return what is known at the times of which running and waiting requests are; None where those are too few."""
    running, waiting, tokens = (
        series.points_since(snapshot.history.get(signal), 0.0)
        for signal in (Signal.RUNNING_REQUESTS, Signal.QUEUE_REQUESTS, Signal.INTER_TOKEN_LATENCY_MEAN_SECONDS)
    )
    waiting_at, token_seconds_at = ({each.at: each.value for each in points} for points in (waiting, tokens))
    points = [each for each in running if each.pods and each.at in waiting_at]
    step = series.spacing_seconds(tuple(points))
    if step is None:
        return None
    steps = max(1, round(MEAN_SECONDS / step))
    return _Past(
        running=_moving([each.value / each.pods for each in points], steps),
        replicas=_moving([float(each.pods) for each in points], steps),
        waiting=_moving([waiting_at[each.at] for each in points], steps),
        token_seconds=np.array([token_seconds_at.get(each.at, np.nan) for each in points]),
        step_seconds=step,
        full_cache=_full_cache(snapshot),
    )


def _running(snapshot: Snapshot, past: _Past) -> float:
    """Return the sequences of one replica behind the durations of now: new ones are not full yet, and ended nothing."""
    seasoned = pods.values(snapshot, Signal.RUNNING_REQUESTS)
    return max(float(past.running[-1]), fmean(seasoned.values()) if seasoned else 0.0)


def _moving(values: list[float], steps: int) -> Floats:
    """Return the mean of each value and up to `steps` - 1 before it."""
    sums = np.cumsum([0.0, *values])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - steps)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))


def _half(past: _Past) -> float:
    """Return the sequences at which half of a step is their own (ridge regression: Hoerl and Kennard, 1970)."""
    known = np.isfinite(past.token_seconds) & (past.token_seconds > 0.0)
    if not known.any():
        return USUAL_HALF
    running, seconds = past.running[known], past.token_seconds[known]
    mean_running, mean_seconds = float(running.mean()), float(seconds.mean())
    usual = mean_seconds / (USUAL_HALF + mean_running)
    prior = PRIOR_POINTS * (PRIOR_SPREAD * max(1.0, mean_running)) ** 2
    moved = running - mean_running
    slope = (float(moved @ (seconds - mean_seconds)) + prior * usual) / (float(moved @ moved) + prior)
    half = mean_seconds / slope - mean_running if slope > 0.0 else LARGEST_HALF
    return min(max(half, LEAST_HALF), LARGEST_HALF)


def _pressure(snapshot: Snapshot, policy: OptimizationPolicy) -> float | None:
    """Return the largest percentile of an objective on durations over its limit; None where none is measured."""
    found = []
    for name, rule in latency_rules(policy.spec.objectives):
        buckets = pods.requests(snapshot.distributions.get(LATENCIES[name]), snapshot)
        means = pods.values(snapshot, MEANS[name])
        if buckets is None or not means or histogram.count(buckets) < load.MIN_REQUESTS:
            continue
        seconds = histogram.percentile_by_mean(buckets, rule.percentile, fmean(means.values()))
        if seconds is None:
            resolved = histogram.percentile(buckets, rule.percentile)
            seconds = resolved.bound_seconds if resolved.seconds is None else resolved.seconds
        found.append(seconds / parse_duration_seconds(rule.max))
    return min(LARGEST_PRESSURE, max(found)) if found else None


def _full_cache(snapshot: Snapshot) -> float:
    """Return the sequences that fill a KV cache, as long as those are that run now; infinity where it is not known."""
    running = pods.values(snapshot, Signal.RUNNING_REQUESTS)
    taken = pods.values(snapshot, Signal.KV_CACHE_USED_RATIO)
    both = running.keys() & taken.keys()
    sequences, ratio = (sum(values[name] for name in both) for values in (running, taken))
    return FULL_KV_RATIO * sequences / ratio if sequences > 0.0 and ratio > 0.0 else math.inf
