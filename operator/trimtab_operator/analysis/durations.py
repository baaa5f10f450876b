"""What a histogram of durations says to a person: a percentile with its noise and its interval, the Apdex score."""

from __future__ import annotations

import math

from trimtab_operator.analysis.judgement import NOISE_DEVIATIONS, independent, wilson
from trimtab_operator.model import histogram
from trimtab_operator.model.signals import Buckets


def percentile_noise(buckets: Buckets, percent: float, found: histogram.Percentile) -> float:
    """Return the relative noise of the difference of two percentiles: both buckets, and the interval of the rank."""
    if found.seconds is None:
        return 1.0
    low, high = wilson(percent / 100.0, independent(histogram.count(buckets)), deviations=NOISE_DEVIATIONS)
    edges = [histogram.percentile(buckets, share * 100.0).seconds for share in (low, high)]
    spread = max(abs((edge or 2.0 * found.seconds) - found.seconds) for edge in edges)
    return min(1.0, 2.0 * found.half_width_ratio + spread / found.seconds)


def percentile_interval(buckets: Buckets, percent: float) -> tuple[float, float | None]:
    """Return between which times (seconds) a percentile lies: the interval of its rank, widened to whole buckets.

    In the first bucket that begins at 0; None where the last bucket, which nothing bounds, may hold it.
    """
    ranks = wilson(percent / 100.0, independent(histogram.count(buckets)))
    (low, _), (_, high) = (histogram.bucket_of(buckets, share * 100.0) for share in ranks)
    return low, None if math.isinf(high) else high


def apdex(buckets: Buckets, satisfied_seconds: float) -> float:
    """Return the Apdex score: satisfied count 1, within four times the threshold 1/2 (Apdex specification 1.1)."""
    satisfied = histogram.below(buckets, satisfied_seconds)
    tolerated = histogram.below(buckets, 4.0 * satisfied_seconds) - satisfied
    return (satisfied + tolerated / 2.0) / histogram.count(buckets)
