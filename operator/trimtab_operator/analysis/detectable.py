"""How small an effect the last look of a trial would tell, as far as the run-in lets it be foreseen."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

from trimtab_operator.analysis.statistics import correlation, freedom, sample, t_quantile, variance_limit

POWER = 0.95  # of the trials whose change has this effect shall tell it
SURE = 0.975  # that slots vary no more than is reckoned with; a few quiet ones say little
_NORMAL = NormalDist()


def detectable(run_in: tuple[float, ...], slots: int, confidence: float, least_error: float) -> float:
    """Return the shift (a logarithm) that so many slots after the change would tell from this run-in.

    `run_in` are at least two slots, logarithms of ratios; those after the change are taken to vary alike. `confidence`
    is that of the two-sided interval, `least_error` the smallest standard error that is believed.
    """
    found = sample(run_in, correlation(run_in))
    before = replace(found, variance=variance_limit(found.variance, len(run_in) - 1.0, SURE))
    after = replace(before, independent=slots * found.independent / len(run_in))
    error = math.sqrt(before.variance / before.independent + after.variance / after.independent)
    probability, margin = (1.0 + confidence) / 2.0, _NORMAL.inv_cdf(POWER)
    estimated = (t_quantile(probability, freedom(after, before)) + margin) * error
    return max(estimated, (_NORMAL.inv_cdf(probability) + margin) * least_error)
