"""Whether the traffic still looks like the inputs that the gate saw, by their lengths and by the answers to them. Pure.

Two questions, each answered against what chance alone does: do the lengths come from one distribution (two-sample
Kolmogorov-Smirnov), and do the answers lie around the same centre (permutation test on the distance of the means)? A
difference counts only when it is also large: a gate run costs device time.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trimtab_engine.variants.accuracy import Outputs

_WINDOW_INPUTS = 256
_CHANCE = 0.001  # of seeing the lengths drift where they do not
_LEAST_LENGTH_GAP = 0.2  # share of inputs by which two distributions of lengths must differ
_LEAST_CENTRE_SHIFT = 0.05  # squared distance of the centres over the spread around them
_PERMUTATIONS = 200


@dataclass(frozen=True, slots=True)
class Traffic:
    """Lengths [n] of n distinct inputs and the answers [n, width] of one variant to them."""

    lengths: NDArray[np.int64]
    answers: Outputs


class RecentTraffic:
    """The last distinct inputs that were looked at, with the answers they got; a bounded number."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, tuple[int, Outputs]] = OrderedDict()
        self._new = 0

    def see(self, key: bytes, length: int, answer: Outputs) -> None:
        """Note one input, its length and its answer [width]."""
        if key not in self._seen:
            self._new += 1
        self._seen[key] = length, answer
        self._seen.move_to_end(key)
        if len(self._seen) > _WINDOW_INPUTS:
            self._seen.popitem(last=False)

    def window(self) -> Traffic | None:
        """Return the window each time that it holds only inputs of which the last one returned held none."""
        if self._new < _WINDOW_INPUTS:
            return None
        self._new = 0
        lengths, answers = zip(*self._seen.values(), strict=True)
        return Traffic(np.array(lengths), np.stack(answers))

    def clear(self) -> None:
        """Forget everything: another variant answers from now on."""
        self._seen.clear()
        self._new = 0


def drift(gate: Traffic, recent: Traffic, seed: int) -> str | None:
    """Return in words how recent traffic differs from what the gate saw, or None."""
    gap = _length_gap(gate.lengths, recent.lengths)
    n, m = len(gate.lengths), len(recent.lengths)
    by_chance = math.sqrt(-0.5 * math.log(_CHANCE / 2) * (n + m) / (n * m))
    if gap > max(by_chance, _LEAST_LENGTH_GAP):
        middle = f"median {np.median(recent.lengths):g} after {np.median(gate.lengths):g}"
        return f"the lengths of inputs differ from those of the gate for {gap:.0%} of them ({middle})"
    shift, by_chance = _centre_shift(gate.answers, recent.answers, seed)
    if shift > max(by_chance, _LEAST_CENTRE_SHIFT):
        return f"the answers' centre has moved by {shift:.2f} of their spread since the gate"
    return None


def _length_gap(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Largest distance between the two cumulative distributions."""
    places = np.concatenate([first, second])
    shares = [np.searchsorted(np.sort(lengths), places, side="right") / len(lengths) for lengths in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())


def _centre_shift(first: Outputs, second: Outputs, seed: int) -> tuple[float, float]:
    """Squared distance of the means over the spread, and the most that mixing the two sets yields."""
    rows = np.concatenate([first, second]).astype(np.float64)
    rows -= rows.mean(axis=0)
    spread = float((rows**2).sum(axis=1).mean())
    if spread <= 0.0:
        return 0.0, 0.0
    share = np.full((_PERMUTATIONS + 1, len(rows)), -1.0 / len(second))
    share[:, : len(first)] = 1.0 / len(first)
    share[1:] = np.random.default_rng(seed).permuted(share[1:], axis=1)
    shifts = ((share @ rows) ** 2).sum(axis=1) / spread
    return float(shifts[0]), float(shifts[1:].max())
