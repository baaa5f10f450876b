"""Ratios of paired slices: geometric mean, bootstrap interval, and what follows from them. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 4000
RESOLVED_LOW, RESOLVED_HIGH = 0.97, 1.03
"""Where ourselves against ourselves must lie for any other ratio of the run to be believed."""


@dataclass(frozen=True)
class Ratio:
    """A geometric mean of paired ratios with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float
    pairs: int

    @property
    def resolved(self) -> bool:
        """Whether this, as a ratio of ourselves to ourselves, shows that the machine can tell contenders apart."""
        return self.low >= RESOLVED_LOW and self.high <= RESOLVED_HIGH


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean; raises ValueError for none, and for values that are not above 0."""
    if not values or min(values) <= 0:
        raise ValueError("a geometric mean needs values, all above 0")
    return math.exp(sum(map(math.log, values)) / len(values))


def paired_ratio(ours: Sequence[float], theirs: Sequence[float], *, block: int = 1, seed: int = 1) -> Ratio:
    """Return the ratio of slices paired by position.

    `block` > 1 draws runs of neighbouring pairs (moving-block bootstrap, Künsch 1989) where each depends on the one
    before. Raises ValueError for sequences of unequal length, none, and values not above 0.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} slices beside {len(theirs)}")
    logs = np.log([geometric_mean([value]) for value in ours]) - np.log([geometric_mean([value]) for value in theirs])
    if not len(logs):
        raise ValueError("no pairs")
    means = _resampled_means(logs, min(block, len(logs)), np.random.default_rng(seed))
    low, high = np.quantile(means, [0.025, 0.975])
    return Ratio(math.exp(float(logs.mean())), math.exp(float(low)), math.exp(float(high)), len(logs))


def _resampled_means(logs: np.ndarray, block: int, dice: np.random.Generator) -> np.ndarray:
    blocks = math.ceil(len(logs) / block)
    starts = dice.integers(0, len(logs) - block + 1, size=(RESAMPLES, blocks))
    places = (starts[:, :, None] + np.arange(block)).reshape(RESAMPLES, -1)[:, : len(logs)]
    means: np.ndarray = logs[places].mean(axis=1)
    return means


def meets(ratio: Ratio, floor: float) -> bool:
    """Tell whether a floor is met: by the lower bound, not by the mean."""
    return ratio.low >= floor
