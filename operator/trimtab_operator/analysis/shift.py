"""By how much a series of slots lies above an earlier one, however unevenly: the effect of a change.

A change may do much in one slot and less in the next (a cache hits what happens to repeat), which is no doubt about its
sign. So a slot counts no further than its reach beyond the value in question: Huber's estimator of location (P. J.
Huber, 1964), and as its interval all values that a test at this confidence does not rule out. While the slots lie
within reach of each other this is Welch's interval. A few later slots that happen to be alike are taken to vary as much
as the earlier ones.

Few slots say next to nothing about how their neighbours correlate, and Welch's interval is then far too wide, or has
no end. So a value that leaves seven in eight of the later slots beyond the reach, all on one side, is ruled out as well
(our own rule; how often equal arms are then called different is counted in tests/unit/analysis/test_shift.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean

import numpy as np

from trimtab_operator.analysis.statistics import Interval, correlation, difference, sample, t_quantile

LEAST_REACH = math.log(1.25)  # however still the earlier slots were
REACH = 0.99865  # what was usual before counts in full: three deviations, more where few slots tell them
LEAST_OUTSIDE = 5  # later slots: fewer may all stray to one side by chance
STRAYS_SHARE = 1 / 8  # of the later slots may be unlike the others, on either side
FARTHEST = 6.0  # a logarithm of a ratio beyond that is as good as none
POINT_STEPS, END_STEPS = 50, 16  # of halving: until rounding, and to TOLERANCE
TOLERANCE = FARTHEST / 2**16


def shift(after: tuple[float, ...], before: tuple[float, ...], confidence: float, least_error: float) -> Interval:
    """Return the shift of the slots (logarithms of ratios; at least two of each) with a two-sided interval.

    `least_error` is the smallest standard error that is believed, however still the slots are. An end that cannot be
    told lies FARTHEST from the estimate.
    """
    centre = float(np.mean(before))
    reach = _reach(before)
    off = np.asarray(after) - centre
    strays = int(STRAYS_SHARE * len(off))
    lowest, highest = np.sort(off)[[strays, -1 - strays]]  # of the slots that are no strays
    still = _within(np.asarray(before) - centre, reach)

    def rest(value: float) -> Interval:
        """Return what is left of the difference once the later slots are moved back by this value."""
        moved = _within(off - value, reach)
        neighbours = correlation(moved, still)
        later, earlier = sample(moved, neighbours), sample(still, neighbours)
        later = replace(later, variance=max(later.variance, earlier.variance))
        return difference(later, earlier, confidence, least_error)

    def outside(value: float) -> bool:
        return len(off) >= LEAST_OUTSIDE and not lowest - reach <= value <= highest + reach

    def lies_above(value: float) -> bool:
        return fmean(_within(off - value, reach)) >= fmean(still)

    point = _last(lies_above, float(off.min()) - reach, float(off.max()) + reach, POINT_STEPS)
    half = min(FARTHEST, rest(point).high)
    return Interval(
        point,
        _end(lambda value: rest(value).low <= 0.0 and not outside(value), point, -half, -FARTHEST),
        _end(lambda value: rest(value).high >= 0.0 and not outside(value), point, half, FARTHEST),
    )


def _reach(before: tuple[float, ...]) -> float:
    """Return how far from the mean of the earlier slots another one would lie at most, had nothing changed."""
    deviation = float(np.std(before, ddof=1)) * math.sqrt(1.0 + 1.0 / len(before))
    return max(LEAST_REACH, t_quantile(REACH, len(before) - 1.0) * deviation)


def _within(values: np.ndarray[tuple[int], np.dtype[np.float64]], reach: float) -> tuple[float, ...]:
    return tuple(float(each) for each in np.clip(values, -reach, reach))


def _end(holds: Callable[[float], bool], point: float, near: float, far: float) -> float:
    """Return the end of the interval: as near as that of Welch's where it is just there, else it is searched for."""
    step = math.copysign(TOLERANCE, far)
    if holds(point + near - step) and not holds(point + near + step):
        return point + near
    return _last(holds, point, point + far, END_STEPS)


def _last(holds: Callable[[float], bool], start: float, end: float, steps: int) -> float:
    """Return the value farthest from `start` (where it holds) towards `end` at which it still does, by halving."""
    if holds(end):
        return end
    for _ in range(steps):
        middle = (start + end) / 2.0
        start, end = (middle, end) if holds(middle) else (start, middle)
    return start
