"""How many sequences fill a replica: those with which the first of the objectives on durations is just met.

With n sequences every duration of a request is as (h + n) (see occupancy). So its mean over h + n is the same whatever
the load, e; and spread x e x (h + n) reaches the limit at n = limit / (spread x e) - h, where the spread is the
percentile over the mean. e comes from the past in which nothing waited: a queue makes durations longer, not replicas
fuller. The spread is read over the last minute and over the last five. A load that changes within either makes it
larger, and few requests make it vary, so the smaller is the bolder reading and the larger the more cautious.

No more is believed than twice as many as ever ran, nor than ran while many waited (the runtime takes no more), nor than
fill the KV cache, nor less than half of the usual: a duration that fewer sequences do not shorten must not ask for ever
more replicas.
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
from trimtab_operator.analysis.burn import SHORT_SECONDS
from trimtab_operator.analysis.sequences import MEAN_SECONDS, SequenceHistory
from trimtab_operator.model import histogram, series
from trimtab_operator.model.signals import Distribution, Signal
from trimtab_operator.model.snapshot import Snapshot

USUAL_SPREAD = 1.3  # where all that is known of it are requests that waited
FULL_KV_RATIO = 0.8  # sequences are of unequal lengths: some replicas fill earlier than others
BELIEVED_GROWTH = 2.0
LEAST_SHARE = 0.5
FEWEST_RUNNING = 8.0  # below twice as many, growth is always believed

MEANS: dict[ObjectiveName, Signal] = {
    ObjectiveName.LATENCY: Signal.LATENCY_MEAN_SECONDS,
    ObjectiveName.TIME_TO_FIRST_TOKEN: Signal.TIME_TO_FIRST_TOKEN_MEAN_SECONDS,
    ObjectiveName.INTER_TOKEN_LATENCY: Signal.INTER_TOKEN_LATENCY_MEAN_SECONDS,
}


@dataclass(frozen=True)
class FullSequences:
    """Sequences that fill a replica, read boldly and cautiously."""

    bold: float
    cautious: float


def full_sequences(
    snapshot: Snapshot, policy: OptimizationPolicy, past: SequenceHistory, half: float
) -> FullSequences | None:
    """Return them, with `half` as h; None where no objective's durations are known."""
    found: list[tuple[float, float]] = []
    for name, rule in latency_rules(policy.spec.objectives):
        each, spreads = _seconds_each(snapshot, name, past, half), _spreads(snapshot, name, rule.percentile, past)
        if each is not None and spreads is not None:
            within = parse_duration_seconds(rule.max) / each
            found.append((within / min(spreads) - half, within / max(spreads) - half))
    if not found:
        return None
    bold, cautious = (_believed(snapshot, past, min(reading)) for reading in zip(*found, strict=True))
    return FullSequences(bold, cautious)


def _seconds_each(snapshot: Snapshot, name: ObjectiveName, past: SequenceHistory, half: float) -> float | None:
    """Return e, from the times in which nothing waited; from all where there are none; None if nothing is known."""
    seconds = past.read(snapshot, MEANS[name])
    known = np.isfinite(seconds)
    calm = known & past.calm
    chosen = calm if calm.any() else known
    if not chosen.any():
        return None
    return float(seconds[chosen].sum() / (half + past.running[chosen]).sum())


def _spreads(snapshot: Snapshot, name: ObjectiveName, percent: int, past: SequenceHistory) -> list[float] | None:
    """Return the percentile over the mean in each window; the usual where a queue made it; None if not measured."""
    signal = LATENCIES[name]
    windows = ((snapshot.distributions, MEAN_SECONDS), (snapshot.five_minutes, SHORT_SECONDS))
    measured = [
        (spread, seconds)
        for table, seconds in windows
        if (spread := _spread(snapshot, table.get(signal), MEANS[name], percent, seconds)) is not None
    ]
    if not measured:
        return None
    queues = name is not ObjectiveName.INTER_TOKEN_LATENCY  # tokens follow each other when nothing is waited for
    kept = [spread for spread, seconds in measured if not queues or past.calm[-past.steps(seconds) - 1 :].all()]
    return kept or [USUAL_SPREAD]


def _spread(
    snapshot: Snapshot, distribution: Distribution | None, mean_signal: Signal, percent: int, seconds: float
) -> float | None:
    buckets = pods.requests(distribution, snapshot)
    points = series.points_since(snapshot.history.get(mean_signal), snapshot.now - seconds)
    means = [each.value for each in points if each.value > 0.0]
    if buckets is None or not means or histogram.count(buckets) < load.MIN_REQUESTS:
        return None
    mean = fmean(means)
    found = histogram.percentile_by_mean(buckets, percent, mean)
    if found is None:
        resolved = histogram.percentile(buckets, percent)
        found = resolved.bound_seconds if resolved.seconds is None else resolved.seconds
    return max(1.0, found / mean)


def _believed(snapshot: Snapshot, past: SequenceHistory, wanted: float) -> float:
    most = BELIEVED_GROWTH * max(FEWEST_RUNNING, float(past.running.max()))
    least = max(1.0, LEAST_SHARE * float(np.median(past.running)))
    taken = float(past.running[past.crowded].max(initial=0.0)) or math.inf
    return max(least, min(wanted, most, taken, _full_cache(snapshot)))


def _full_cache(snapshot: Snapshot) -> float:
    """Return the sequences that fill a KV cache, as long as those are that run now; infinity where it is not known."""
    running = pods.values(snapshot, Signal.RUNNING_REQUESTS)
    taken = pods.values(snapshot, Signal.KV_CACHE_USED_RATIO)
    both = running.keys() & taken.keys()
    sequences, ratio = (sum(values[name] for name in both) for values in (running, taken))
    return FULL_KV_RATIO * sequences / ratio if sequences > 0.0 and ratio > 0.0 else math.inf
