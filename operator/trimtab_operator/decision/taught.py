"""What comes next is expected as what was measured before makes likely.

Every setting that was tried or may be is a configuration of one search space, whose expectations are those of physics.
Where a trial brought more or less than that, its neighbours are expected to do so too, the less the farther they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trimtab_api.engine_knobs import Knob
from trimtab_api.engine_settings import EngineSettings
from trimtab_operator.decision.expectation import Expectation
from trimtab_operator.decision.knob_values import KNOBS, Value, value_of, with_value
from trimtab_operator.decision.lessons import LEAST_SD, Lesson
from trimtab_operator.decision.steps import KnobStep
from trimtab_operator.decision.tuner.surrogate import Surrogate
from trimtab_operator.model.search import Dimension, Estimate, SearchSpace

_UNITS = {
    Knob.MAX_BATCH_SIZE: 1.0,
    Knob.MAX_QUEUE_DELAY: 0.001,
    Knob.CACHE_MEMORY: float(2**20),
    Knob.LATENCY_TARGET: 0.001,
}
"""Knobs with an order, and what of each makes a first doubling. Where 0 means no limit there is no order."""
_START = Estimate(0.0, LEAST_SD)

_Place = tuple[Value | None, ...]


def taught(steps: Sequence[KnobStep], current: EngineSettings, lessons: Sequence[Lesson]) -> list[KnobStep]:
    """Return the steps with what is expected of capacity after these lessons; unchanged without any."""
    if not lessons:
        return list(steps)
    expected, seen = _chain(lessons)
    here = expected.setdefault(_place(current), 0.0)
    places = [_place(with_value(current, step.knob, step.to)) for step in steps]
    for step, place in zip(steps, places, strict=True):
        expected.setdefault(place, here + math.log1p(step.capacity.effect))
    believed = _believed(expected, seen)
    shifts = [believed[place] - believed[_place(current)] - (expected[place] - here) for place in places]
    return [replace(step, capacity=_shifted(step.capacity, shift)) for step, shift in zip(steps, shifts, strict=True)]


def _chain(lessons: Sequence[Lesson]) -> tuple[dict[_Place, float], dict[_Place, Estimate]]:
    """Return what was expected and what was seen at each place, against where the first trial began."""
    expected: dict[_Place, float] = {}
    seen: dict[_Place, Estimate] = {}
    for lesson in lessons:
        before, after = _place(lesson.before), _place(lesson.after)
        expected[after] = expected.setdefault(before, 0.0) + lesson.expected
        begun = seen.setdefault(before, _START)
        seen[after] = Estimate(begun.log + lesson.seen.log, math.hypot(begun.sd, lesson.seen.sd))
    return expected, seen


def _believed(expected: dict[_Place, float], seen: dict[_Place, Estimate]) -> dict[_Place, float]:
    places = list(expected)
    space = _space(places, list(expected.values()))
    surrogate = Surrogate(space, tuple(places.index(place) for place in seen))
    belief = surrogate.believe(space.goal, list(seen.values()))
    return dict(zip(places, belief.average(belief.mean).tolist(), strict=True))


def _space(places: list[_Place], expected: list[float]) -> SearchSpace:
    columns, dimensions = [], []
    for knob, values in zip(KNOBS, zip(*places, strict=True), strict=True):
        levels = list(dict.fromkeys(values))
        dimensions.append(Dimension(knob, _doublings(knob, levels)))
        columns.append([levels.index(value) for value in values])
    goal = np.array(expected)
    return SearchSpace(tuple(dimensions), np.array(columns, dtype=np.int64).T, goal, np.zeros((len(goal), 0)))


def _doublings(knob: Knob, levels: list[Value | None]) -> tuple[float, ...] | None:
    unit = _UNITS.get(knob)
    return None if unit is None else tuple(math.log2(1.0 + float(value or 0.0) / unit) for value in levels)


def _place(settings: EngineSettings) -> _Place:
    return tuple(value_of(settings, knob) for knob in KNOBS)


def _shifted(before: Expectation, shift: float) -> Expectation:
    factor = math.exp(shift)
    return Expectation(*(factor * (1.0 + each) - 1.0 for each in (before.effect, before.low, before.high)))
