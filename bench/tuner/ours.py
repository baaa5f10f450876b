"""Trimtab's tuner as a contender: the operator's own code, and what physics says of two kinds of knobs."""

from __future__ import annotations

import math

import numpy as np

from bench.tuner.replay import Measured, Task
from trimtab_operator.decision.tuner.suggest import suggest
from trimtab_operator.model.arrays import Floats
from trimtab_operator.model.search import Dimension, Estimate, Observation, SearchSpace

EXPECTED = {"concurrency": 0.6, "users": 0.6, "tp": -0.5}
"""What one doubling of a knob multiplies objective and limited values by, as a power of two."""
_LEAST_RATIO = 1e-9


class Trimtab:
    """One run of it."""

    def __init__(self, task: Task, _seed: int) -> None:
        self._task = task
        self._space = _space(task)
        self._readings: list[Observation] = []

    def observe(self, measured: Measured) -> None:
        """Hear of a trial."""
        ratios = np.log(np.maximum(measured.limited / self._task.limits, _LEAST_RATIO)).tolist()
        limited = tuple(Estimate(*each) for each in zip(ratios, measured.noise[1:].tolist(), strict=True))
        goal = Estimate(math.log(measured.objective), float(measured.noise[0]))
        self._readings.append(Observation(measured.configuration, goal, limited))

    def suggest(self) -> int | None:
        """Return the next configuration."""
        found = suggest(self._space, self._readings)
        return None if found is None else found.configuration


def _space(task: Task) -> SearchSpace:
    expected: Floats = np.zeros(len(task.configurations))
    dimensions = []
    for place, knob in enumerate(task.knobs):
        doublings = np.log2(np.array(knob.levels, dtype=np.float64)) if knob.ordered else None
        dimensions.append(Dimension(knob.name, None if doublings is None else tuple(doublings.tolist())))
        if doublings is not None:
            expected += EXPECTED.get(knob.name, 0.0) * math.log(2.0) * doublings[task.configurations[:, place]]
    limited = np.repeat(expected[:, None], len(task.limits), axis=1)
    return SearchSpace(tuple(dimensions), task.configurations, expected, limited)
