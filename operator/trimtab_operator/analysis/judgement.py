"""Met or violated, with memory: a state flips only on evidence that it was wrong, so that noise does not write status.

A share of n requests is judged with its Wilson interval (E. B. Wilson, 1927) at two standard deviations; a gauge with a
band around its limit. Without an earlier state the value itself decides.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from trimtab_operator.model.analysis import Attainment

DEVIATIONS = 2.0  # one flip in about forty independent ticks that sit exactly on the limit
NOISE_DEVIATIONS = 3.5  # of a reported number: a steady number must not look changed once in some thousand ticks
ALIKE = 10.0  # ten neighbouring requests say as much about a tail as one independent request
_NORMAL = NormalDist()


def wilson(share: float, samples: float, deviations: float = DEVIATIONS) -> tuple[float, float]:
    """Return the interval of the true share, given the share of `samples` (> 0) requests."""
    square = deviations * deviations
    center = (share + square / (2.0 * samples)) / (1.0 + square / samples)
    half = deviations * math.sqrt(share * (1.0 - share) / samples + square / (4.0 * samples * samples))
    half /= 1.0 + square / samples
    return max(0.0, center - half), min(1.0, center + half)


def independent(requests: float) -> float:
    """Return how many independent requests so many are worth: neighbours wait in the same queue and are alike."""
    return requests / ALIKE


def share_confidence(share: float, allowed: float, samples: float, attainment: Attainment) -> float | None:
    """Return how sure a judged share of bad requests is: the score test whose inversion is Wilson's interval.

    One half where the share is as large as allowed; None where none, or all, may be bad.
    """
    if not 0.0 < allowed < 1.0:
        return None
    error = math.sqrt(allowed * (1.0 - allowed) / samples)
    met = _NORMAL.cdf((allowed - share) / error)
    return met if attainment is Attainment.MET else 1.0 - met


def margin_ratio(value: float, limit: float, *, at_most: bool) -> float | None:
    """Return the distance of a value from its limit over the limit; negative if wrong, None for a limit of 0."""
    if limit == 0.0:
        return None
    return (limit - value if at_most else value - limit) / abs(limit)


def judge_share(share: float, allowed: float, samples: float, before: Attainment | None) -> Attainment:
    """Judge a share of bad requests that must stay at or below `allowed`."""
    low, high = wilson(share, samples)
    if before is Attainment.MET:
        return Attainment.VIOLATED if low > allowed else Attainment.MET
    if before is Attainment.VIOLATED:
        return Attainment.MET if high <= allowed or share == 0.0 else Attainment.VIOLATED
    return Attainment.MET if share <= allowed else Attainment.VIOLATED


def judge_value(value: float, limit: float, *, at_most: bool, band: float, before: Attainment | None) -> Attainment:
    """Judge a value against a limit that it may touch; `band` is the relative change that a flip needs."""
    excess = value - limit if at_most else limit - value
    slack = band * abs(limit)
    if before is Attainment.MET:
        excess -= slack
    elif before is Attainment.VIOLATED:
        excess += slack
    return Attainment.MET if excess <= 0.0 else Attainment.VIOLATED


def counting_noise(samples: float | None) -> float:
    """Return the relative noise of the difference of two counts of `samples` events (Poisson), at most 1."""
    return min(1.0, NOISE_DEVIATIONS * math.sqrt(2.0 / samples)) if samples else 1.0
