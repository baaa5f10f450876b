"""The reference: the gated, enumerated Gaussian process that the notes describe. This file does not follow ours.

log(objective) and log(value / limit) are each a prior mean with linear terms and a residual of squared exponential
covariance (standard deviation .3, length .6), all fixed; the noise is that of each trial. Next is the largest expected
improvement times probability of keeping the limits, among those whose probability is at least .65; where none is that
likely, among all, as in the notes' figures. With the notes' advice to stop there it would score less.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bench.tuner.replay import Measured, Task

_GATE = 0.65
_RESIDUAL_SD, _RESIDUAL_LENGTH = 0.3, 0.6
_LEVEL_SD = 1.0  # of the constant: a start says where the surface lies
_CATEGORY_SD = 0.4
_SLOPES = {  # per doubling, in log2: (objective, limited), each with its standard deviation
    "concurrency": ((0.6, 0.3), (0.6, 0.4)),
    "users": ((0.6, 0.3), (0.6, 0.4)),
    "tp": ((-0.5, 0.4), (-0.5, 0.4)),
}
_UNKNOWN_SLOPE = ((0.0, 0.5), (0.0, 0.5))
_Floats = NDArray[np.float64]


class Reference:
    """One run of it."""

    def __init__(self, task: Task, _seed: int) -> None:
        self._task = task
        self._measured: list[Measured] = []
        self._features, self._means, self._sds = _features(task)
        self._residual = _squared_exponential(self._features)

    def observe(self, measured: Measured) -> None:
        """Hear of a trial."""
        self._measured.append(measured)

    def suggest(self) -> int | None:
        """Return the next configuration; None where none is left."""
        tried = [each.configuration for each in self._measured]
        objective_mean, objective_sd = self._posterior(0)
        likely = np.ones(len(self._features))
        for limit in range(len(self._task.limits)):
            mean, sd = self._posterior(1 + limit)
            likely *= _normal_cdf(-mean / sd)
        kept = [each for each in self._measured if (each.limited <= self._task.limits).all()]
        best = max(math.log(each.objective) for each in kept) if kept else -math.inf
        gains = _expected_improvement(objective_mean, objective_sd, best) * likely
        gains[tried] = -1.0
        gated = np.where(likely >= _GATE, gains, -1.0)
        chosen = int((gated if gated.max() > 0.0 else gains).argmax())
        return chosen if gains[chosen] >= 0.0 else None

    def _posterior(self, which: int) -> tuple[_Floats, _Floats]:
        """Return mean and standard deviation of the logarithm of the objective (0) or of value / limit (1 …)."""
        places = [each.configuration for each in self._measured]
        if which == 0:
            seen = np.log([each.objective for each in self._measured])
        else:
            limit = self._task.limits[which - 1]
            seen = np.log([max(each.limited[which - 1], 1e-3 * limit) / limit for each in self._measured])
        side = min(which, 1)
        weights, weight_sds = self._means[side], self._sds[side]
        scaled = self._features * weight_sds
        prior = self._features @ weights
        start = seen[0] - prior[places[0]]
        covariance = scaled @ scaled.T + _LEVEL_SD**2 + self._residual
        noise = np.array([each.noise[which] for each in self._measured])
        known = covariance[np.ix_(places, places)] + np.diag(noise**2 + 1e-8)
        gain = np.linalg.solve(known, covariance[places]).T
        mean = prior + start + gain @ (seen - prior[places] - start)
        variance = np.diag(covariance) - np.einsum("ij,ji->i", gain, covariance[places])
        return mean, np.sqrt(np.maximum(variance, 1e-10))


def _features(task: Task) -> tuple[_Floats, tuple[_Floats, _Floats], tuple[_Floats, _Floats]]:
    """Return the features (n, d) and, for objective and limited, the prior means and deviations of their weights."""
    columns, objective, limited = [], [], []
    for place, knob in enumerate(task.knobs):
        levels = task.configurations[:, place]
        if knob.ordered:
            values = np.log2(np.array(knob.levels, dtype=np.float64))[levels]
            columns.append(values - values[task.start])
            slopes = _SLOPES.get(knob.name, _UNKNOWN_SLOPE)
            objective.append(tuple(math.log(2.0) * each for each in slopes[0]))
            limited.append(tuple(math.log(2.0) * each for each in slopes[1]))
        else:
            for level in range(len(knob.levels)):
                columns.append((levels == level).astype(np.float64))
                objective.append((0.0, _CATEGORY_SD))
                limited.append((0.0, _CATEGORY_SD))
    means = tuple(np.array([weight[0] for weight in side]) for side in (objective, limited))
    sds = tuple(np.array([weight[1] for weight in side]) for side in (objective, limited))
    return np.stack(columns, axis=1), (means[0], means[1]), (sds[0], sds[1])


def _squared_exponential(features: _Floats) -> _Floats:
    spans = np.ptp(features, axis=0)
    unit = features / np.where(spans > 0.0, spans, 1.0)
    distances = ((unit[:, None, :] - unit[None, :, :]) ** 2).sum(axis=-1)
    return np.asarray(_RESIDUAL_SD**2 * np.exp(-distances / (2.0 * _RESIDUAL_LENGTH**2)))


def _expected_improvement(mean: _Floats, sd: _Floats, best: float) -> _Floats:
    if math.isinf(best):
        return np.asarray(np.exp(mean - mean.max()))
    z = (mean - best) / sd
    return np.asarray(sd * (z * _normal_cdf(z) + np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)))


def _normal_cdf(z: _Floats) -> _Floats:
    return np.asarray(0.5 * (1.0 + np.vectorize(math.erf)(z / math.sqrt(2.0))))
