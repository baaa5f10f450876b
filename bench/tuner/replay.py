"""One tuner on one problem: trials with noise, and what the promotion gate makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.tuner.problems import Knob, Problem

TRIALS = 12
SCORED_AT = (4, 8, 12)
_GATE_NOISE = 1.0 / 3.0
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """What a tuner may know before the first trial."""

    knobs: tuple[Knob, ...]
    configurations: NDArray[np.int64]
    limits: _Floats
    start: int


@dataclass(frozen=True)
class Measured:
    """One trial: the objective, what is limited (m), and the standard deviations of their logarithms (1 + m)."""

    configuration: int
    objective: float
    limited: _Floats
    noise: _Floats


class Tuner(Protocol):
    """Asked for a configuration, then told what was measured there, in turns. The start is told first."""

    def suggest(self) -> int | None:
        """Return the next configuration; None = it wants no further trial."""

    def observe(self, measured: Measured) -> None:
        """Hear of a trial."""


Entrant = Callable[[Task, int], Tuner]
"""Makes a tuner for a task and a seed."""


@dataclass(frozen=True)
class Course:
    """One run: the score at each of SCORED_AT, what its trials violated, and whether a violating one was promoted.

    `overshoots`: of each trial that truly violated, its worst ratio of value to limit. `promoted_badly`: by SCORED_AT.
    """

    scores: tuple[float, ...]
    overshoots: tuple[float, ...]
    promoted_badly: tuple[bool, ...]


def run(entrant: Entrant, problem: Problem, seed: int) -> Course:
    """Let a tuner make its trials, the start being free, and score what would be promoted after each of SCORED_AT."""
    dice, gate_dice = _dice(seed)
    tuner = entrant(Task(problem.knobs, problem.configurations, problem.limits, problem.start), seed)
    history = [_measure(problem, problem.start, dice)]
    tuner.observe(history[0])
    promoted = []
    for number in range(1, TRIALS + 1):
        chosen = tuner.suggest() if len(history) == number else None
        if chosen is not None:
            history.append(_measure(problem, chosen, dice))
            tuner.observe(history[-1])
        if number in SCORED_AT:
            promoted.append(_promoted(problem, history, gate_dice))
    return _course(problem, history, promoted)


def measure_all(problem: Problem, seed: int) -> Course:
    """Measure every configuration once: what no tuner can know better at this noise."""
    dice, gate_dice = _dice(seed)
    history = [_measure(problem, each, dice) for each in range(len(problem.configurations))]
    return _course(problem, history, [_promoted(problem, history, gate_dice)] * len(SCORED_AT))


def _dice(seed: int) -> tuple[np.random.Generator, np.random.Generator]:
    return np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])


def _course(problem: Problem, history: Sequence[Measured], promoted: Sequence[int]) -> Course:
    good = problem.feasible
    scores = [float(problem.objective[each] / problem.best) if good[each] else 0.0 for each in promoted]
    violating = [each.configuration for each in history[1:] if not good[each.configuration]]
    overshoots = [float((problem.limited[each] / problem.limits).max()) for each in violating]
    return Course(tuple(scores), tuple(overshoots), tuple(not good[each] for each in promoted))


def _measure(problem: Problem, configuration: int, dice: np.random.Generator, scale: float = 1.0) -> Measured:
    noise = scale * problem.noise[configuration]
    factors = np.exp(noise * dice.standard_normal(len(noise)))
    objective = problem.objective[configuration] * factors[0]
    return Measured(configuration, float(objective), problem.limited[configuration] * factors[1:], noise)


def _promoted(problem: Problem, history: Sequence[Measured], dice: np.random.Generator) -> int:
    """Return the first that keeps the limits when measured again, the best first; the start where none does."""
    tried: set[int] = set()
    for each in sorted(history, key=lambda each: -each.objective):
        if each.configuration in tried or not (each.limited <= problem.limits).all():
            continue
        tried.add(each.configuration)
        if (_measure(problem, each.configuration, dice, _GATE_NOISE).limited <= problem.limits).all():
            return each.configuration
    return problem.start
