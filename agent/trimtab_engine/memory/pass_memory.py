"""How many bytes a pass takes beside what the idle worker holds, learned from measured passes. Pure.

extra(n, L) = a + b·nL + c·nL², with a, b, c >= 0: fixed workspace, activations (linear in padded tokens), attention
scores (quadratic in length). Fitted by least squares to the upper quantile of each cell of (items, length), doubling
from cell to cell, then stretched until no cell lies above it: an upper bound of what was seen, which grows with items
and length. A margin covers what was not.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MARGIN = 1.1
RAMP = 4
"""A batch has at most so many times the padded tokens of the largest measured one: the fit is not trusted beyond."""

LOWERED_SECONDS = 60.0
_LONGEST_LOWERED_SECONDS = 3600.0
_CELL_SAMPLES = 8
_QUANTILE = 0.9

_Shape = tuple[int, int]  # items, length


@dataclass(frozen=True, slots=True)
class _Lowered:
    """Out of memory at this length: the most padded tokens until a time (monotonic seconds)."""

    tokens: int
    until: float
    seconds: float


class PassMemory:
    """What is known of one model on one device. At most 20 by 20 cells of 8 samples are kept."""

    def __init__(self) -> None:
        self._cells: dict[_Shape, deque[tuple[int, int, int]]] = {}  # (items, length, extra bytes)
        self._fit = np.zeros(3)
        self._largest_tokens = self._largest_length = 0
        self._lowered: dict[int, _Lowered] = {}

    @property
    def samples(self) -> int:
        """Measured passes that are remembered."""
        return sum(map(len, self._cells.values()))

    def learn(self, items: int, length: int, extra_bytes: int) -> None:
        """Note a measured pass of `items` rows padded to `length`."""
        cell = self._cells.setdefault((items.bit_length(), length.bit_length()), deque(maxlen=_CELL_SAMPLES))
        cell.append((items, length, max(extra_bytes, 0)))
        self._largest_tokens = max(self._largest_tokens, items * length)
        self._largest_length = max(self._largest_length, length)
        self._refit()

    def predict(self, items: int, length: int) -> float | None:
        """Return the extra bytes that a pass takes at most, the margin included; None before the first sample."""
        return float(MARGIN * (_features(items, length) @ self._fit)) if self._cells else None

    def ran_out(self, items: int, length: int, now: float) -> None:
        """Lower the cap after a pass of this shape found no memory; again and again lowers it for longer."""
        bucket = length.bit_length()
        before = self._lowered.get(bucket)
        seconds = LOWERED_SECONDS if before is None else min(2 * before.seconds, _LONGEST_LOWERED_SECONDS)
        self._lowered[bucket] = _Lowered(max(items // 2, 1) * length, now + seconds, seconds)

    def most_items(self, length: int, room_bytes: float, now: float) -> int | None:
        """Return how many items padded to `length` fit into the room; None = any number, 0 = not even one.

        Room is infinite where nothing is limited. One item longer than any that was measured is always let
        through: else nothing could be learned.
        """
        most = math.inf
        if math.isfinite(room_bytes):
            most = max(1, RAMP * self._largest_tokens // length)
            fixed, linear, quadratic = MARGIN * self._fit
            per_item = linear * length + quadratic * length * length
            if fixed + per_item > room_bytes:
                most = 0 if length <= self._largest_length else 1
            elif per_item > 0:
                most = max(min(most, math.floor((room_bytes - fixed) / per_item)), 1)
        lowered = self._lowered.get(length.bit_length())
        if lowered is not None and now < lowered.until:
            most = min(most, max(1, lowered.tokens // length))
        return None if math.isinf(most) else int(most)

    def _refit(self) -> None:
        uppers = [_upper(cell) for cell in self._cells.values()]
        shapes = np.array([_features(items, length) for items, length, _ in uppers])
        extras = np.array([extra for _, _, extra in uppers], dtype=np.float64)
        fit = _nonnegative_fit(shapes, extras)
        predicted = shapes @ fit
        short = extras > predicted
        if np.any(short & (predicted <= 0)):
            fit, predicted = np.array([extras.max(), 0.0, 0.0]), np.full_like(extras, extras.max())
        stretch = np.max(extras / predicted, where=predicted > 0, initial=1.0)
        self._fit = fit * stretch


def _features(items: int, length: int) -> NDArray[np.float64]:
    tokens = items * length
    return np.array([1.0, tokens, tokens * length], dtype=np.float64)


def _upper(cell: deque[tuple[int, int, int]]) -> tuple[int, int, int]:
    """Return the sample at the upper quantile of a cell."""
    ordered = sorted(cell, key=lambda sample: sample[2])
    return ordered[math.ceil(_QUANTILE * len(ordered)) - 1]


def _nonnegative_fit(shapes: NDArray[np.float64], extras: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares with coefficients >= 0: the best of the fits on each subset of the three features."""
    scale = shapes.max(axis=0)
    best, best_error = np.zeros(3), math.inf
    for size in (1, 2, 3):
        for chosen in itertools.combinations((1, 2, 0), size):  # what fits equally well is taken as growing
            columns = list(chosen)
            found = np.linalg.lstsq(shapes[:, columns] / scale[columns], extras, rcond=None)[0]
            if np.any(found < 0):
                continue
            error = float(np.sum((shapes[:, columns] / scale[columns] @ found - extras) ** 2))
            if error < best_error * (1 - 1e-9):
                best, best_error = np.zeros(3), error
                best[columns] = found / scale[columns]
    return best
