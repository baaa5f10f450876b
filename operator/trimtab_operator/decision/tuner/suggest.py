"""Front door: the configuration most worth the next trial, or None where none is.

Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, for the model; Gardner et al., Bayesian
Optimization with Inequality Constraints, ICML 2014, for improvement times the probability that limits are kept. Here
that probability counts by its cube, and there is a gate: a trial that breaks a limit is paid for by users.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from trimtab_operator.decision.tuner.normal import expected_excess, normal_cdf
from trimtab_operator.decision.tuner.surrogate import Belief, Surrogate
from trimtab_operator.model.arrays import Floats
from trimtab_operator.model.search import Estimate, Observation, SearchSpace, Suggestion

CAUTION = 3.0
"""By which power the probability of keeping the limits counts."""
LEAST_LIKELY = (0.4, 0.3)
"""How likely a trial must keep the limits. The second holds once nothing passes the first, but not for repeats."""
FAR_BELOW = math.log(0.1)
"""How far below its limit a value is told from others: whether errors are 0 or a tenth of what is allowed is alike."""


@dataclass(frozen=True)
class _Prospects:
    """What is believed of each of n configurations."""

    goal: Belief
    likelihood: Floats
    open: NDArray[np.bool_]


def suggest(space: SearchSpace, readings: Sequence[Observation], least_gain: float = 0.0) -> Suggestion | None:
    """Return what is most worth a trial, None where nothing likely brings more than `least_gain`. Pure.

    The first reading is of the configuration that runs: it is what remains when nothing else is promoted.
    """
    prospects = _prospects(space, readings)
    gains = expected_excess(prospects.goal, _promotable(prospects, readings))
    worth = gains * prospects.likelihood**CAUTION
    for least in LEAST_LIKELY:
        fit = prospects.open & (prospects.likelihood >= least) & (gains > least_gain)
        if fit.any():
            chosen = int(np.where(fit, worth, -1.0).argmax())
            return Suggestion(chosen, float(prospects.likelihood[chosen]), float(gains[chosen]))
    return None


def _prospects(space: SearchSpace, readings: Sequence[Observation]) -> _Prospects:
    surrogate = Surrogate(space, tuple(each.configuration for each in readings))
    goal = surrogate.believe(space.goal, [each.goal for each in readings])
    likelihood = np.ones(len(space.levels))
    for limit in range(space.limited.shape[1]):
        seen = [_told_apart(each.limited[limit]) for each in readings]
        belief = surrogate.believe(space.limited[:, limit], seen)
        likelihood *= belief.average(normal_cdf(-belief.mean / belief.sd))
    return _Prospects(goal, likelihood, _open(readings, likelihood))


def _told_apart(seen: Estimate) -> Estimate:
    return Estimate(max(seen.log, FAR_BELOW), seen.sd)


def _open(readings: Sequence[Observation], likelihood: Floats) -> NDArray[np.bool_]:
    """Return which may be tried: new ones, and those that were likely only by chance seen to break a limit."""
    found = np.ones(len(likelihood), dtype=np.bool_)
    for each in readings:
        found[each.configuration] = likelihood[each.configuration] >= LEAST_LIKELY[0]
    for each in readings:
        found[each.configuration] &= not each.kept
    return found


def _promotable(prospects: _Prospects, readings: Sequence[Observation]) -> float:
    """Return the logarithm of the objective that promoting the best so far is expected to bring.

    The best that was seen to keep the limits is promoted first; where it turns out to break them, the next; what runs
    is sure.
    """
    means = np.exp(prospects.goal.average(prospects.goal.mean))
    running = readings[0].configuration
    expected, remaining = 0.0, 1.0
    ranked = sorted(readings, key=lambda each: -each.goal.log)
    for each in takewhile(lambda each: each.configuration != running, ranked):
        if each.kept:
            expected += remaining * prospects.likelihood[each.configuration] * means[each.configuration]
            remaining *= 1.0 - prospects.likelihood[each.configuration]
    return math.log(expected + remaining * means[running])
