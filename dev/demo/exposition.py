"""Counters and histograms from the raw samples that Prometheus holds: exact increases, no extrapolation. Pure.

`increase()` extrapolates to the edges of its window and misses what a counter held at its first scrape; an agreement
of 5 % between two measurements is not to be judged by a third one's guess.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

Labels = dict[str, str]


@dataclass(frozen=True)
class Series:
    """One series with its samples (unix time, value), oldest first."""

    labels: Labels
    samples: tuple[tuple[float, float], ...]


def increase(series: Series, start_seconds: float) -> float:
    """Return by how much a counter grew since a unix time, in its own unit, resets included.

    It is counted from the last sample until then. A series that has none was born later: it began at 0, so its first
    value counts as well.
    """
    before = max((sample for sample in series.samples if sample[0] <= start_seconds), default=(0.0, 0.0))[1]
    total = 0.0
    for at, value in series.samples:
        if at > start_seconds:
            total += value - before if value >= before else value
            before = value
    return total


def rate(series: Series) -> float | None:
    """Return the increase per second from the first sample to the last, resets included; None below two samples."""
    if len(series.samples) < 2:
        return None
    seconds = series.samples[-1][0] - series.samples[0][0]
    return increase(series, series.samples[0][0]) / seconds if seconds > 0 else None


@dataclass(frozen=True)
class Histogram:
    """Cumulative counts by upper edge, ascending, the last edge infinite."""

    edges: tuple[float, ...]
    cumulative: tuple[float, ...]

    @property
    def total(self) -> float:
        """All observations."""
        return self.cumulative[-1] if self.cumulative else 0.0

    def bucket_of(self, value: float) -> int:
        """Return the position of the bucket that holds a value."""
        return next(position for position, edge in enumerate(self.edges) if value <= edge)

    def percentile_bucket(self, fraction: float) -> int | None:
        """Return the position of the bucket that holds a percentile; None when nothing was observed."""
        if self.total == 0:
            return None
        wanted = fraction * self.total
        return next(position for position, count in enumerate(self.cumulative) if count >= wanted)

    def count_within(self, limit: float) -> float:
        """Return how many observations did not exceed the limit, interpolated inside the limit's bucket."""
        position = self.bucket_of(limit)
        below = self.cumulative[position - 1] if position else 0.0
        lower = self.edges[position - 1] if position else 0.0
        upper = self.edges[position]
        if math.isinf(upper):
            return below
        return below + (self.cumulative[position] - below) * (limit - lower) / (upper - lower)


def histogram(buckets: Sequence[Series], start_seconds: float) -> Histogram:
    """Add up the increases of all bucket series since a unix time, by their `le` label."""
    counts: defaultdict[float, float] = defaultdict(float)
    for series in buckets:
        counts[float(series.labels["le"])] += increase(series, start_seconds)
    edges = tuple(sorted(counts))
    return Histogram(edges, tuple(counts[edge] for edge in edges))
