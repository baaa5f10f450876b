"""How well a variant's answers agree with the original's on the same inputs, by what the answers are. Pure.

Beside each value stands that of the original against itself at another batch composition (A/A): what the arithmetic of
batching alone costs. `agreement` is what the gate and the objective are compared with; `parts` are reported beside it.

embedding: agreement = mean cosine; parts: its 5th percentile, and neighbour overlap at 10 (the share of an input's ten
nearest neighbours in the set that are the same ten). classification: share of inputs with the same first class.
regression: 1 - mean relative error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from trimtab_engine.variants.intervals import (
    Interval,
    Numbers,
    mean_interval,
    percentile_interval,
    share_interval,
)

_NEIGHBOURS = 10
_LOW_SHARE = 0.05
_TINY = 1e-12

Outputs = NDArray[np.float32]


class Task(StrEnum):
    """What a model's answers are."""

    EMBEDDING = "embedding"
    CLASSIFICATION = "classification"
    REGRESSION = "regression"


@dataclass(frozen=True, slots=True)
class Compared:
    """One measure: variant against original with its interval, and the original against itself."""

    measured: Interval
    itself: float


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Agreement with the original on `samples` inputs: 1 = the same answers."""

    samples: int
    agreement: Compared
    parts: Mapping[str, Compared]


def accuracy(task: Task, original: Outputs, again: Outputs, variant: Outputs, seed: int) -> Accuracy:
    """Compare answers [n, width] to the same n inputs: the original's, the original's again, and the variant's."""
    first, second, other = (rows.astype(np.float64) for rows in (original, again, variant))
    each, itself = _EACH[task](first, other), _EACH[task](first, second)
    classes = task is Task.CLASSIFICATION
    interval = share_interval(int(each.sum()), len(each)) if classes else mean_interval(each, seed)
    parts: dict[str, Compared] = {}
    if task is Task.EMBEDDING:
        overlaps, self_overlaps = _overlaps(first, other), _overlaps(first, second)
        parts = {
            "cosine_p5": Compared(percentile_interval(each, _LOW_SHARE), float(np.quantile(itself, _LOW_SHARE))),
            "neighbour_overlap": Compared(mean_interval(overlaps, seed), float(self_overlaps.mean())),
        }
    return Accuracy(len(each), Compared(interval, float(itself.mean())), parts)


def agreement_of_each(task: Task, original: Outputs, variant: Outputs) -> Numbers:
    """Return the agreement [n] of each input's answers [n, width], as `accuracy` averages it."""
    return _EACH[task](original.astype(np.float64), variant.astype(np.float64))


def _cosines(first: Numbers, other: Numbers) -> Numbers:
    """Cosine of each pair of rows; an answer that is not finite agrees with nothing, two zero vectors agree."""
    other = np.where(np.isfinite(other), other, 0.0)
    lengths = np.linalg.norm(first, axis=1), np.linalg.norm(other, axis=1)
    products = lengths[0] * lengths[1]
    cosines = np.einsum("ij,ij->i", first, other) / np.maximum(products, _TINY)
    both_zero = (lengths[0] < _TINY) & (lengths[1] < _TINY)
    each: Numbers = np.where(both_zero, 1.0, np.clip(cosines, -1.0, 1.0))
    return each


def _overlaps(first: Numbers, other: Numbers) -> Numbers:
    """Share of the nearest neighbours within the set that both agree on, per input."""
    if len(first) <= _NEIGHBOURS:
        return np.ones(len(first))
    overlaps: Numbers = (_neighbours(first) & _neighbours(other)).sum(axis=1) / _NEIGHBOURS
    return overlaps


def _neighbours(rows: Numbers) -> NDArray[np.bool_]:
    """Say of each row which others are its nearest, [n, n]."""
    rows = np.where(np.isfinite(rows), rows, 0.0)
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _TINY)
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -np.inf)
    nearest = np.zeros(likeness.shape, np.bool_)
    np.put_along_axis(nearest, np.argpartition(-likeness, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS], True, axis=1)
    return nearest


def _same_class(first: Numbers, other: Numbers) -> Numbers:
    finite = np.isfinite(other).all(axis=1)
    same: Numbers = ((first.argmax(axis=1) == other.argmax(axis=1)) & finite).astype(np.float64)
    return same


def _closeness(first: Numbers, other: Numbers) -> Numbers:
    """1 - relative error per input; small values are measured against the typical size, so that 0 has an error too."""
    other = np.where(np.isfinite(other), other, np.inf)
    scale = np.maximum(np.abs(first), max(float(np.median(np.abs(first))), _TINY))
    closeness: Numbers = 1.0 - np.minimum(np.abs(first - other) / scale, 1.0).mean(axis=1)
    return closeness


_EACH: Mapping[Task, Callable[[Numbers, Numbers], Numbers]] = {
    Task.EMBEDDING: _cosines,
    Task.CLASSIFICATION: _same_class,
    Task.REGRESSION: _closeness,
}
