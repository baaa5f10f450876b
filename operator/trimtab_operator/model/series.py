"""Arithmetic on series: what part of a time holds data, and the mean and peak of that part."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import pairwise
from operator import attrgetter

from trimtab_operator.model.signals import Point, Series

_at, _value = attrgetter("at"), attrgetter("value")
GAP_SPACINGS = 3.0  # a hole of more than three spacings is a time without data, as three lost scrapes are


def points_since(series: Series | None, start: float) -> tuple[Point, ...]:
    """Return the points from `start` (unix seconds) on; none for a series that is absent or failed."""
    return () if series is None else series.known[bisect_left(series.known, start, key=_at) :]


def covered_seconds(series: Series | None, start: float, end: float) -> float:
    """Return how much of the time from start to end holds data: holes of more than three spacings are left out.

    A point speaks for one spacing before it, so the last one before `start` counts as well.
    """
    spacing = _spacing_seconds(series)
    if spacing is None:
        return 0.0
    times = [max(point.at, start) for point in points_since(series, start - spacing) if point.at <= end]
    if not times:
        return 0.0
    steps = [later - earlier for earlier, later in pairwise([*times, end])]
    return min(times[0] - start, spacing) + sum(step for step in steps if step <= GAP_SPACINGS * spacing)


def covers(series: Series | None, start: float, end: float) -> bool:
    """Say whether data covers the whole time from start to end, up to a spacing at each end (half of a short time)."""
    spacing = _spacing_seconds(series)
    if spacing is None:
        return False
    return covered_seconds(series, start, end) >= end - start - min(2.0 * spacing, (end - start) / 2.0)


def peak_since(series: Series | None, start: float) -> Point | None:
    """Return the largest point from one spacing before `start` on: a point speaks of the time up to it."""
    spacing = _spacing_seconds(series)
    return peak(points_since(series, start - (spacing or 0.0)))


def _spacing_seconds(series: Series | None) -> float | None:
    return None if series is None else series.spacing_seconds


def usual_range(points: tuple[Point, ...]) -> tuple[float, float]:
    """Return the 10 % and 90 % points of the values: a single odd sample is no change. NaN without points."""
    ordered = sorted(point.value for point in points)
    if not ordered:
        return math.nan, math.nan
    return ordered[len(ordered) // 10], ordered[len(ordered) - 1 - len(ordered) // 10]


def mean(points: tuple[Point, ...]) -> float | None:
    """Return the mean value; None without points."""
    return sum(point.value for point in points) / len(points) if points else None


def peak(points: tuple[Point, ...]) -> Point | None:
    """Return the first of the largest points; None without points."""
    return max(points, key=_value) if points else None
