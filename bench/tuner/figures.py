"""What the runs of a contender come to, and how two contenders compare: paired by problem, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.tuner.replay import SCORED_AT, Course
from trimtab_operator.model.arrays import Floats

_RESAMPLES = 4000
Runs = Sequence[Sequence[Course]]
"""The courses of each seed, by problem."""
Figure = Callable[[Sequence[Course]], float]
"""What the seeds of one problem come to."""


@dataclass(frozen=True)
class Interval:
    """A mean over problems with its 95 % interval."""

    mean: float
    low: float
    high: float


def score_after(trials: int) -> Figure:
    """Return the figure "share of the best that is promoted after so many trials"."""
    place = SCORED_AT.index(trials)
    return lambda courses: float(np.mean([each.scores[place] for each in courses]))


def violations(courses: Sequence[Course]) -> float:
    """Return the violating trials per run."""
    return float(np.mean([len(each.overshoots) for each in courses]))


def excess(courses: Sequence[Course]) -> float:
    """Return by how much the trials of a run break the limits, summed: none is 0, one at 1.5 times the limit .5."""
    return float(np.mean([sum(each.overshoots) - len(each.overshoots) for each in courses]))


def wrong_promotions(courses: Sequence[Course]) -> float:
    """Return the share of runs whose promoted configuration truly violates, over all that are scored."""
    return float(np.mean([each.promoted_badly for each in courses]))


def overshoot(runs: Runs) -> float | None:
    """Return the mean ratio of value to limit of all violating trials; None without one."""
    every = [ratio for courses in runs for each in courses for ratio in each.overshoots]
    return float(np.mean(every)) if every else None


def document(runs: Runs) -> dict[str, float | None]:
    """Return a contender's own figures for JSON; `se` is the standard error of v12 over the problems."""
    scored = np.array([[score_after(each)(courses) for each in SCORED_AT] for courses in runs])
    values: dict[str, float | None] = {
        f"v{trials}": float(scored[:, place].mean()) for place, trials in enumerate(SCORED_AT)
    }
    values["violations"] = float(np.mean([violations(each) for each in runs]))
    values["overshoot"] = overshoot(runs)
    values["wrong_promotions"] = float(np.mean([wrong_promotions(each) for each in runs]))
    values["se"] = float(scored[:, -1].std(ddof=1) / np.sqrt(len(runs))) if len(runs) > 1 else None
    return values


def average(figure: Figure, runs: Runs) -> Interval:
    """Return the mean over the problems."""
    values = np.array([figure(each) for each in runs])
    return _bootstrap(values, values, lambda mine, _: mine.mean(axis=-1))


def difference(figure: Figure, ours: Runs, theirs: Runs) -> Interval:
    """Return the mean difference over the problems."""
    return _bootstrap(*_paired(figure, ours, theirs), lambda a, b: a.mean(axis=-1) - b.mean(axis=-1))


def ratio(figure: Figure, ours: Runs, theirs: Runs) -> Interval:
    """Return the ratio of the means over the problems; 1 where neither has anything."""

    def divided(a: Floats, b: Floats) -> Floats:
        above, below = a.mean(axis=-1), b.mean(axis=-1)
        return np.where(below > 0.0, above / np.where(below > 0.0, below, 1.0), np.where(above > 0.0, np.inf, 1.0))

    return _bootstrap(*_paired(figure, ours, theirs), divided)


def _paired(figure: Figure, ours: Runs, theirs: Runs) -> tuple[Floats, Floats]:
    return np.array([figure(each) for each in ours]), np.array([figure(each) for each in theirs])


def _bootstrap(ours: Floats, theirs: Floats, compare: Callable[[Floats, Floats], Floats]) -> Interval:
    drawn = np.random.default_rng(0).integers(0, len(ours), (_RESAMPLES, len(ours)))
    low, high = np.quantile(compare(ours[drawn], theirs[drawn]), (0.025, 0.975), method="nearest")
    return Interval(float(compare(ours, theirs)), float(low), float(high))
