"""Intervals of 95 %: of a mean, of a share, of a low percentile and of a speed-up. Pure, deterministic by seed."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_CONFIDENCE = 0.95
_RESAMPLES = 1000

Numbers = NDArray[np.float64]


class Interval(NamedTuple):
    """A value and the two-sided bounds around it; `low` alone holds with 97.5 % confidence."""

    value: float
    low: float
    high: float


def mean_interval(values: Numbers, seed: int, confidence: float = _CONFIDENCE) -> Interval:
    """Return the mean of values [n], n at least 1, with its percentile bootstrap interval (B. Efron, 1979)."""
    draws = np.random.default_rng(seed).integers(0, len(values), (_RESAMPLES, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), _tails(confidence))
    return Interval(float(values.mean()), float(low), float(high))


def share_interval(successes: int, trials: int) -> Interval:
    """Return successes ÷ trials with Wilson's score interval (E. B. Wilson, 1927); `trials` is at least 1."""
    z = 1.959963984540054  # the normal quantile of 97.5 %
    share = successes / trials
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    reach = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return Interval(share, max(0.0, centre - reach), min(1.0, centre + reach))


def percentile_interval(values: Numbers, share: float) -> Interval:
    """Return the quantile `share` of values [n] with its exact bounds from order statistics.

    The r-th smallest of n values is below the quantile with the probability that a binomial (n, share) count is at
    least r (H. A. David, Order Statistics, 2.5). Where no order statistic is low or high enough the extreme one stands.
    """
    ordered, n = np.sort(values), len(values)
    tail = (1 - _CONFIDENCE) / 2
    below = np.cumsum([_binomial(n, k, share) for k in range(n + 1)])
    low = max(0, int(np.searchsorted(below, tail, side="right")) - 1)
    high = min(n - 1, int(np.searchsorted(below, 1 - tail)))
    return Interval(float(np.quantile(values, share)), float(ordered[low]), float(ordered[high]))


def speedup_interval(base_seconds: Numbers, variant_seconds: Numbers, seed: int) -> Interval:
    """Return how many times faster the variant is: the geometric mean over pairs [n] of base ÷ variant."""
    return Interval(*(math.exp(x) for x in mean_interval(np.log(base_seconds / variant_seconds), seed)))


def _binomial(trials: int, successes: int, share: float) -> float:
    ways = math.lgamma(trials + 1) - math.lgamma(successes + 1) - math.lgamma(trials - successes + 1)
    return math.exp(ways + successes * math.log(share) + (trials - successes) * math.log1p(-share))


def _tails(confidence: float) -> tuple[float, float]:
    return (1 - confidence) / 2, (1 + confidence) / 2
