"""The other tuners: chance, one knob at a time, and Optuna's samplers."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import optuna

from bench.tuner.replay import Measured, Task

optuna.logging.set_verbosity(optuna.logging.ERROR)

_LEAST = 1e-12
_REPEATS = 10


class Chance:
    """Draws what was not tried yet."""

    def __init__(self, task: Task, seed: int) -> None:
        order = np.random.default_rng(seed).permutation(len(task.configurations))
        self._order = iter([int(each) for each in order if each != task.start])

    def observe(self, measured: Measured) -> None:
        """Learn nothing."""

    def suggest(self) -> int | None:
        """Return the next of a random order."""
        return next(self._order, None)


class OneKnobAtATime:
    """Climbs: tries the neighbours of the best that kept the limits, one knob by one level at a time."""

    def __init__(self, task: Task, seed: int) -> None:
        self._task = task
        self._dice = np.random.default_rng(seed)
        self._tried: set[int] = set()
        self._best = task.start
        self._best_objective = -math.inf

    def observe(self, measured: Measured) -> None:
        """Move to what is better."""
        self._tried.add(measured.configuration)
        kept = bool((measured.limited <= self._task.limits).all())
        if kept and measured.objective > self._best_objective:
            self._best, self._best_objective = measured.configuration, measured.objective

    def suggest(self) -> int | None:
        """Return an untried neighbour of the best, or anything untried where it has none."""
        untried = [each for each in self._neighbours() if each not in self._tried]
        if not untried:
            untried = [each for each in range(len(self._task.configurations)) if each not in self._tried]
        return int(self._dice.choice(untried)) if untried else None

    def _neighbours(self) -> Iterator[int]:
        here = self._task.configurations[self._best]
        for index, there in enumerate(self._task.configurations):
            moved = np.flatnonzero(here != there)
            if len(moved) != 1:
                continue
            knob = self._task.knobs[int(moved[0])]
            if not knob.ordered or abs(int(here[moved[0]] - there[moved[0]])) == 1:
                yield index


class Optuna:
    """One of Optuna's samplers, with the limits as constraints.

    A configuration that it asks for again costs no trial: it is told what was measured there. After some of those it
    gets one that was not tried yet.
    """

    def __init__(self, task: Task, seed: int, sampler: optuna.samplers.BaseSampler) -> None:
        self._task = task
        self._dice = np.random.default_rng(seed)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._places = {tuple(levels): index for index, levels in enumerate(task.configurations.tolist())}
        self._measured: dict[int, Measured] = {}
        self._asked = self._ask(task.start)

    def observe(self, measured: Measured) -> None:
        """Tell the study of a trial; the start is the first that it was given."""
        self._measured[measured.configuration] = measured
        for place, value in enumerate(np.log(np.maximum(measured.limited, _LEAST) / self._task.limits)):
            self._asked.set_constraint(str(place), float(value))
        self._study.tell(self._asked, math.log(measured.objective))

    def suggest(self) -> int | None:
        """Return what the sampler asks for."""
        untried = [each for each in range(len(self._places)) if each not in self._measured]
        if not untried:
            return None
        for _ in range(_REPEATS):
            self._asked = self._ask()
            chosen = self._places[tuple(self._asked.params[knob.name] for knob in self._task.knobs)]
            if chosen not in self._measured:
                return chosen
            self.observe(self._measured[chosen])
        chosen = int(self._dice.choice(untried))
        self._asked = self._ask(chosen)
        return chosen

    def _ask(self, given: int | None = None) -> optuna.trial.Trial:
        knobs = self._task.knobs
        if given is not None:
            levels = self._task.configurations[given].tolist()
            self._study.enqueue_trial({knob.name: level for knob, level in zip(knobs, levels, strict=True)})
        asked = self._study.ask()
        for knob in knobs:
            if knob.ordered:
                asked.suggest_int(knob.name, 0, len(knob.levels) - 1)
            else:
                asked.suggest_categorical(knob.name, list(range(len(knob.levels))))
        return asked


def tpe(task: Task, seed: int) -> Optuna:
    """Optuna's default sampler."""
    return Optuna(task, seed, optuna.samplers.TPESampler(seed=seed))


def tpe_early(task: Task, seed: int) -> Optuna:
    """The same, multivariate, after four random trials."""
    return Optuna(task, seed, optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=4))


def gaussian_process(task: Task, seed: int) -> Optuna:
    """Optuna's Gaussian process after four random trials."""
    return Optuna(task, seed, optuna.samplers.GPSampler(seed=seed, n_startup_trials=4))
