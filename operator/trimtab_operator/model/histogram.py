"""Arithmetic on classic histograms: merging, shares over a threshold, percentiles with what they cannot resolve."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist
from typing import Literal

from trimtab_operator.model.signals import Buckets


@dataclass(frozen=True)
class Percentile:
    """A percentile in seconds, or why there is none: below the first bound, or above the last finite one.

    `half_width_ratio` is half the width of its bucket relative to the value: what the histogram cannot resolve.
    """

    seconds: float | None
    half_width_ratio: float
    outside: Literal["", "first", "last"] = ""
    bound_seconds: float = math.nan


def merge(parts: Iterable[Buckets]) -> Buckets | None:
    """Add histograms up, on the bounds that all of them share (a cumulative count at a bound is exact).

    None where there is nothing to add or no finite bound is shared.
    """
    every = tuple(parts)
    if not every:
        return None
    shared = _shared_bounds(every)
    if len(shared) < 2 or not math.isinf(shared[-1]):
        return None
    sums = [0.0, *map(math.fsum, zip(*(_at(shared, part) for part in every), strict=True))]
    if sums != sorted(sums):  # rates of single buckets may cross by rounding; a cumulative count never falls
        sums = list(accumulate(sums, max))
    return Buckets(bounds_seconds=shared, cumulative=tuple(sums[1:]))


def _shared_bounds(every: tuple[Buckets, ...]) -> tuple[float, ...]:
    """Return the bounds that all parts have, which are nearly always all of them."""
    first, *others = {part.bounds_seconds for part in every}
    return tuple(sorted(set(first).intersection(*others))) if others else first


def _at(bounds: tuple[float, ...], part: Buckets) -> tuple[float, ...]:
    """Return the cumulative counts at these of its bounds."""
    if bounds == part.bounds_seconds:
        return part.cumulative
    table = dict(zip(part.bounds_seconds, part.cumulative, strict=True))
    return tuple(table[bound] for bound in bounds)


def count(buckets: Buckets) -> float:
    """Count the requests in the window."""
    return buckets.cumulative[-1]


def below(buckets: Buckets, seconds: float) -> float:
    """Count the requests at or below a time, interpolated within a bucket as Prometheus does for percentiles."""
    lower_bound, lower_count = 0.0, 0.0
    for bound, cumulative in zip(buckets.bounds_seconds, buckets.cumulative, strict=True):
        if seconds <= bound:
            if math.isinf(bound):
                return lower_count
            part = (seconds - lower_bound) / (bound - lower_bound)
            return lower_count + part * (cumulative - lower_count)
        lower_bound, lower_count = bound, cumulative
    return count(buckets)


def share_over(buckets: Buckets, seconds: float) -> float:
    """Return the share of requests slower than a time; the histogram must not be empty."""
    return 1.0 - below(buckets, seconds) / count(buckets)


def bucket_of(buckets: Buckets, percent: float) -> tuple[float, float]:
    """Return the bounds in seconds (the lower 0, the upper infinite at the ends) between which a percentile lies."""
    index = _index_of(buckets, percent)
    return 0.0 if index == 0 else buckets.bounds_seconds[index - 1], buckets.bounds_seconds[index]


def _index_of(buckets: Buckets, percent: float) -> int:
    rank = percent / 100.0 * count(buckets)
    return next(i for i, value in enumerate(buckets.cumulative) if value >= rank)


def percentile(buckets: Buckets, percent: float) -> Percentile:
    """Find a percentile (0 to 100) of a histogram that is not empty.

    Inside the first bucket any number would be an invention (the note on first buckets in docs), so none is given.
    """
    rank = percent / 100.0 * count(buckets)
    bounds, cumulative = buckets.bounds_seconds, buckets.cumulative
    index = _index_of(buckets, percent)
    if index == 0:
        return Percentile(seconds=None, half_width_ratio=1.0, outside="first", bound_seconds=bounds[0])
    if math.isinf(bounds[index]):
        return Percentile(seconds=None, half_width_ratio=1.0, outside="last", bound_seconds=bounds[index - 1])
    lower, upper = bounds[index - 1], bounds[index]
    inside = cumulative[index] - cumulative[index - 1]
    seconds = lower + (upper - lower) * (rank - cumulative[index - 1]) / inside
    return Percentile(seconds=seconds, half_width_ratio=(upper - lower) / 2.0 / seconds)


def percentile_by_mean(buckets: Buckets, percent: float, mean_seconds: float) -> float | None:
    """Find a percentile of a histogram whose buckets are coarse, with the help of its exact mean; None where it cannot.

    Of the log-normal distributions with this mean, the one that has the share over a bound that was counted, at the
    bound above the mean whose share is nearest to the percentile's; the result stays inside the percentile's bucket.
    A share of nothing is taken as half a request. ln(bound / mean) = z s - s^2 / 2, with the bound's normal score z.
    """
    if mean_seconds <= 0.0:
        return None
    total, wanted = count(buckets), 1.0 - percent / 100.0
    shares = [
        (bound, max(1.0 - cumulative / total, 0.5 / total))
        for bound, cumulative in zip(buckets.bounds_seconds, buckets.cumulative, strict=True)
        if mean_seconds < bound < math.inf
    ]
    spreads = [(abs(math.log(share / wanted)), _spread(bound / mean_seconds, share)) for bound, share in shares]
    known = [(distance, spread) for distance, spread in spreads if spread is not None]
    if not known:
        return None
    spread = min(known)[1]
    seconds = mean_seconds * math.exp(_score(wanted) * spread - spread**2 / 2.0)
    lowest, highest = bucket_of(buckets, percent)
    return min(max(seconds, lowest), highest)


def _spread(ratio: float, share: float) -> float | None:
    """Return the sd of the logarithm of a log-normal variable that exceeds `ratio` times its mean with the share.

    `ratio` is above 1, which none exceeds with half of its values: then there is no such variable.
    """
    if share >= 0.5:
        return None
    score = _score(share)
    root = score**2 - 2.0 * math.log(ratio)
    return score - math.sqrt(root) if root >= 0.0 else None


def _score(share: float) -> float:
    """Return the normal score that is exceeded with a probability between 0 and 1."""
    return NormalDist().inv_cdf(1.0 - share)
