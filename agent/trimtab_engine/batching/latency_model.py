"""How long a batch will take, learned from those that ran: against its size, its tokens and its padded length.

    T = (a + c*n + d*tokens + p*n*longest + e*n*longest^2) * correction(n) * (1 + margin)

T is in seconds, n in rows, tokens are those without padding, longest is that of the longest row. The five costs are
those of a pass, a row, a token, a place of the padded batch and of attention, which pays for padding twice; none is
negative. A model that leaves padding out shows no p, one that computes it no d. They are fitted by least squares on
relative errors, robustly (Huber's weights, 1964: a stall moves little), the newest batches weighing most. The
correction is the median ratio of observed to fitted time of batches of about this size, such that their times never
fall with the size (pool adjacent violators, Ayer and others 1955), so that steps which no line describes are followed.
The margin is the 95th percentile of observed over expected, less one, from 0 to 0.5. No clock: the age of a batch
counts in batches.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256)
_LARGEST = _SIZES[-1]
_CLASS_OF_ROWS = [bisect_left(_SIZES, rows) for rows in range(_LARGEST + 1)]
_PER_SIZE = 21  # batches of about one size that are remembered
_FRESH_BATCHES = 256  # older ones no longer count
_HALF_LIFE_BATCHES = 32.0
_CORRECTED_BY_BATCHES = 64  # the newest; older ones may be of a device that was faster
_FEWEST = 3  # batches before anything is predicted
_FEWEST_OF_A_SIZE = 5  # before its median corrects the fit
_REFIT_EVERY = 8
_REFIT_SECONDS = 0.05  # of passes from one fit to the next: a fit takes about 1.5 ms, also where a pass takes 0.1 ms
_ROBUST_STEPS = 3
_ROBUST_ERROR = 0.1  # relative errors beyond this pull less
_RECENT = 64  # batches that the margin is taken from
_MARGIN_QUANTILE = 0.95
_LARGEST_MARGIN = 0.5
_GAIN = 1.05  # a smaller batch that is faster by less is within what the model does not know
_ANCHOR = 0.02  # how strongly what the batches do not tell apart stays at what it was

_Vector = NDArray[np.float64]


class Shape(NamedTuple):
    """What a batch's time depends on: rows, tokens without padding, and the longest row's tokens."""

    rows: int
    tokens: int
    longest: int

    @property
    def padded_tokens(self) -> int:
        """Tokens of the dense batch."""
        return self.rows * self.longest


def shape_of(lengths: Sequence[int]) -> Shape:
    """Return the shape of a batch of rows of these lengths (tokens)."""
    return Shape(len(lengths), sum(lengths), max(lengths))


class _Seen(NamedTuple):
    shape: Shape
    seconds: float
    number: int


class LatencyModel:
    """Of one model; it follows a swap of the variant as it follows any device that has become faster or slower."""

    def __init__(self) -> None:
        self._seen: list[deque[_Seen]] = [deque(maxlen=_PER_SIZE) for _ in _SIZES]
        self._count = 0
        self._since_fit_seconds = 0.0
        self._costs: _Vector | None = None
        self._per_pass = self._per_row = self._per_token = self._per_place = self._per_square = 0.0
        self._row_seconds = 0.0  # of the mean row
        self._corrections = [1.0] * len(_SIZES)
        self._corrected: set[int] = set()
        self._factors = [1.0] * (_LARGEST + 1)  # by rows: correction and margin
        self._efficient = list(range(_LARGEST + 1))  # by rows
        self._ratios: deque[float] = deque(maxlen=_RECENT)
        self._margin = 0.0

    @property
    def known(self) -> bool:
        """Whether anything can be predicted yet."""
        return self._costs is not None

    @property
    def pays_for_padding(self) -> bool:
        """Whether a row's time depends on how long the others are."""
        return self._per_place > 0.0 or self._per_square > 0.0

    def seconds(self, rows: int, tokens: float, longest: int) -> float:
        """Return seconds that a batch rarely exceeds (one in twenty); 0 while nothing is known."""
        fitted = self._per_pass + self._per_row * rows + self._per_token * tokens
        padded = rows * longest * (self._per_place + self._per_square * longest)
        return (fitted + padded) * self._factors[rows if rows < _LARGEST else _LARGEST]

    def efficient_rows(self, rows: int) -> int:
        """Return the largest batch of at most so many rows that serves them within 5 % of the fastest rate.

        That is all of them on a device whose time grows in a line; fewer where it grows in steps.
        """
        return self._efficient[rows] if rows <= _LARGEST else rows

    def bound(self, shape: Shape) -> float:
        """Return `seconds` of a shape: `expect` and the margin."""
        return self.seconds(*shape)

    def expect(self, shape: Shape) -> float:
        """Return the likely seconds of a batch; 0 while nothing is known."""
        return self.seconds(*shape) / (1.0 + self._margin)

    def observe(self, shape: Shape, seconds: float) -> None:
        """Learn from a batch that ran."""
        expected = self.expect(shape)
        if expected > 0.0 and _size_class(shape.rows) in self._corrected:
            self._ratios.append(seconds / expected)
        self._count += 1
        self._seen[_size_class(shape.rows)].append(_Seen(shape, seconds, self._count))
        self._since_fit_seconds += seconds
        due = self._count % _REFIT_EVERY == 0 and self._since_fit_seconds >= _REFIT_SECONDS
        if self._count >= _FEWEST and (self._count < 2 * _REFIT_EVERY or due):
            self._since_fit_seconds = 0.0
            self._refit()

    def _refit(self) -> None:
        fresh = [seen for of_size in self._seen for seen in of_size if seen.number > self._count - _FRESH_BATCHES]
        features = np.array([_features(seen.shape) for seen in fresh])
        seconds = np.array([seen.seconds for seen in fresh])
        ages = self._count - np.array([seen.number for seen in fresh], dtype=np.float64)
        self._costs = _fit(features, seconds, 0.5 ** (ages / _HALF_LIFE_BATCHES), self._costs)
        self._per_pass, self._per_row, self._per_token, self._per_place, self._per_square = self._costs.tolist()
        rows = np.array([seen.shape.rows for seen in fresh])
        self._row_seconds = float((features[:, 1:] @ self._costs[1:]).sum() / rows.sum())
        classes = np.array([_size_class(each) for each in rows])
        self._correct(classes, seconds / (features @ self._costs), ages)
        if len(self._ratios) >= _FEWEST_OF_A_SIZE:
            high = float(np.quantile(np.array(self._ratios), _MARGIN_QUANTILE))
            self._margin = min(max(high - 1.0, 0.0), _LARGEST_MARGIN)
        self._factors = [self._corrections[of_size] * (1.0 + self._margin) for of_size in _CLASS_OF_ROWS]
        self._efficient = self._efficient_sizes()

    def _efficient_sizes(self) -> list[int]:
        sizes, best, size = [0], 0.0, 0
        for rows in range(1, _LARGEST + 1):
            seconds = (self._per_pass + self._row_seconds * rows) * self._factors[rows]
            rate = rows / seconds if seconds > 0.0 else math.inf
            size, best = rows if rate * _GAIN >= best else size, max(best, rate)
            sizes.append(size)
        return sizes

    def _correct(self, classes: NDArray[np.int64], ratios: _Vector, ages: _Vector) -> None:
        newest = [_newest(ratios[classes == c], ages[classes == c]) for c in range(len(_SIZES))]
        known = [c for c, of_size in enumerate(newest) if len(of_size) >= _FEWEST_OF_A_SIZE]
        lines = [self._per_pass + self._row_seconds * size for size in _SIZES]
        medians = _isotonic([lines[c] * float(np.median(newest[c])) for c in known])
        self._corrected = set(known)
        of_known, least = dict(zip(known, medians, strict=True)), 0.0
        for c, line in enumerate(lines):
            least = of_known.get(c, max(least, line))  # a size that was not seen takes no less than a smaller one
            self._corrections[c] = least / line if line > 0.0 else 1.0


def _size_class(rows: int) -> int:
    return _CLASS_OF_ROWS[min(rows, _LARGEST)]


def _features(shape: Shape) -> tuple[float, ...]:
    rows, tokens, longest = shape
    return 1.0, float(rows), float(tokens), float(rows * longest), float(rows * longest**2)


def _fit(features: _Vector, seconds: _Vector, weights: _Vector, before: _Vector | None) -> _Vector:
    """Least squares on relative errors with costs >= 0, re-weighted so that outliers pull with a bounded force."""
    relative = features / seconds[:, None]
    scales = relative.mean(axis=0)
    anchor = 1.0 / features.shape[1] if before is None else before * scales  # shares of a batch's time
    strength = math.sqrt(_ANCHOR * float(weights.sum()))
    pull = weights
    costs = np.zeros(features.shape[1])
    for _ in range(_ROBUST_STEPS):
        root = np.sqrt(pull)[:, None]
        left = np.vstack([relative / scales * root, np.eye(len(scales)) * strength])
        right = np.concatenate([root[:, 0], np.broadcast_to(anchor, len(scales)) * strength])
        costs = _non_negative(left, right) / scales
        errors = np.abs(relative @ costs - 1.0)
        pull = weights * np.minimum(1.0, _ROBUST_ERROR / np.maximum(errors, 1e-9))
    return costs


def _non_negative(left: _Vector, right: _Vector) -> _Vector:
    """Solve least squares with every unknown >= 0, by leaving out what would be negative, the worst first."""
    kept = list(range(left.shape[1]))
    solution = np.zeros(left.shape[1])
    while kept:
        found = np.linalg.lstsq(left[:, kept], right, rcond=None)[0]
        if found.min() >= 0.0:
            solution[kept] = found
            break
        del kept[int(found.argmin())]
    return solution


def _newest(ratios: _Vector, ages: _Vector) -> _Vector:
    """Return the ratios of the newest batches, or of the last few where the newest are too few."""
    few = np.partition(ages, _FEWEST_OF_A_SIZE - 1)[_FEWEST_OF_A_SIZE - 1] if len(ages) >= _FEWEST_OF_A_SIZE else 0.0
    return ratios[ages <= max(few, _CORRECTED_BY_BATCHES)]


def _isotonic(values: Sequence[float]) -> list[float]:
    """Return the closest non-decreasing sequence (pool adjacent violators, equal weights)."""
    pools: list[tuple[float, int]] = []
    for value in values:
        mean, size = value, 1
        while pools and pools[-1][0] > mean:
            before, count = pools.pop()
            mean, size = (before * count + mean * size) / (count + size), size + count
        pools.append((mean, size))
    return [mean for mean, size in pools for _ in range(size)]
