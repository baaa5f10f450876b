"""How much more than the load to keep ready: what would have been enough in the past, had it been kept.

Replicas that are ordered now serve after the lead time. So the past is played again: at each time there would have been
the largest load of the stabilisation time before the order; by how much a later load exceeds that, as a logarithm, is
its growth. The headroom is the quantile of Student's t that growth exceeds with half of the objectives' allowance. Its
scale is the root of twice the mean square of the growths above zero (falls say nothing about rises), and of a usual one
that counts as PRIOR_TIMES lead times: growths within one lead time hang together, so they count as one. A longer start
begins with no more than a short one: the largest load that is kept is that of a whole start, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

import numpy as np

from trimtab_operator.analysis.statistics import t_quantile
from trimtab_operator.model.arrays import Floats
from trimtab_operator.model.snapshot import Target

USUAL = 1.25
USUAL_ALLOWED_SHARE = 0.01  # for objectives that allow so much
PRIOR_TIMES = 6.0
SPENT_SHARE = 0.5
LEAST_SHARE = 1e-3  # of the largest load: growth is reckoned of no less
USUAL_START_SECONDS = 60.0
LONGEST_START_SECONDS = 1800.0  # beyond that a pod lost its readiness and found it again


def headroom(past: Sequence[float], lead_steps: int, stabilization_steps: int, allowed_share: float) -> float:
    """Return the factor, 1 at least, by which what is ready should exceed the load.

    `past` are loads at regular times, oldest first, in any unit. Without a past it is USUAL at the usual allowance.
    """
    lead, probability = max(1, lead_steps), 1.0 - SPENT_SHARE * allowed_share
    grown = _growth(past, lead, max(1, stabilization_steps))
    times = len(grown) / lead
    usual_scale = math.log(USUAL) / t_quantile(1.0 - SPENT_SHARE * USUAL_ALLOWED_SHARE, PRIOR_TIMES)
    squares = PRIOR_TIMES * usual_scale**2 + 2.0 * float((np.maximum(grown, 0.0) ** 2).sum()) / lead
    scale = math.sqrt(squares / (PRIOR_TIMES + times))
    return math.exp(t_quantile(probability, PRIOR_TIMES + times) * scale)


def _growth(past: Sequence[float], lead: int, held: int) -> Floats:
    """Return by how much the load exceeded what was ordered a lead time before, as logarithms."""
    loads = np.array(past, float)
    if len(loads) < held + lead or not loads.any():
        return np.zeros(0)
    loads = np.maximum(loads, LEAST_SHARE * loads.max())
    ordered = np.lib.stride_tricks.sliding_window_view(loads, held).max(axis=1)[:-lead]
    return np.asarray(np.log(loads[held + lead - 1 :] / ordered))


def start_seconds(target: Target) -> float:
    """Return how long a replica of this target takes from its order until it serves: the median of those that did."""
    taken = [
        pod.ready_at - pod.created_at
        for pod in target.pods
        if pod.ready_at is not None and 0.0 < pod.ready_at - pod.created_at <= LONGEST_START_SECONDS
    ]
    return median(taken) if taken else USUAL_START_SECONDS
