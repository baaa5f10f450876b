"""A robust line through equal steps of time: the median of the slopes of all pairs, with the interval of its rank.

P. K. Sen, Estimates of the regression coefficient based on Kendall's tau (Journal of the American Statistical
Association 63, 1968); the level is the median of what is left (W. J. Conover, Practical Nonparametric Statistics).
Up to 29 % of the steps may be anything. The interval takes the steps as independent of each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trimtab_operator.model.arrays import Floats

DEVIATIONS = 2.576  # 99 %: it is looked at anew every few minutes, for each objective
LEAST_KNOWN_RATIO = 2.0 / 3.0  # of the steps; the rest are gaps

Counts = NDArray[np.intp]


@dataclass(frozen=True)
class Slope:
    """Change per hour with its 99 % interval, and the value of the line at the last step; in the unit of the values."""

    per_hour: float
    low: float
    high: float
    level: float


@dataclass(frozen=True)
class NoSlope:
    """Why there is none."""

    reason: str


def least_known(steps: int) -> int:
    """Return how many of the steps must be known."""
    return math.ceil(LEAST_KNOWN_RATIO * steps)


def slopes(rows: Floats, step_seconds: float) -> list[Slope | None]:
    """Return the slope of each row of values; NaN is a gap, and a row with too many of them has no slope."""
    steps = rows.shape[1]
    hours = np.arange(steps) * step_seconds / 3600.0
    early, late = np.triu_indices(steps, 1)
    pairs = np.sort((rows[:, late] - rows[:, early]) / (hours[late] - hours[early]), axis=1)
    known = np.isfinite(rows).sum(axis=1)
    counts = known * (known - 1) // 2
    middle = _middle(pairs, counts)
    levels = _middle(np.sort(rows + middle[:, None] * (hours[-1] - hours), axis=1), known)
    outer = np.maximum(0, ((counts - _rank_interval(known)) / 2.0).astype(np.intp) - 1)
    every = np.arange(len(rows))
    made = np.stack([middle, pairs[every, outer], pairs[every, counts - 1 - outer], levels], axis=1)
    enough = (known >= least_known(steps)).tolist()
    return [Slope(*four) if each else None for four, each in zip(made.tolist(), enough, strict=True)]


def _rank_interval(known: Counts) -> Floats:
    """Return the width of the interval in ranks: Kendall's variance without ties, which is the safe side."""
    return np.asarray(DEVIATIONS * np.sqrt(known * (known - 1) * (2 * known + 5) / 18.0))


def _middle(ordered: Floats, counts: Counts) -> Floats:
    """Return the median of the first values of each sorted row, so many of it; gaps are sorted behind them."""
    every = np.arange(len(ordered))
    return np.asarray((ordered[every, (counts - 1) // 2] + ordered[every, counts // 2]) / 2.0)
