"""How much more than the load to keep ready: what would have been enough in the past, had it been kept.

Replicas that are ordered now serve after the lead time. So the past is played again: at each time there would have been
the largest load of the stabilisation time before the order, times the headroom; a time whose load exceeds that is late.
The smallest headroom is kept with which as many times were late as half of the objectives' allowance. While the past is
short it counts less than the usual headroom, which is the larger the longer a start takes: loads wander as the root of
the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from trimtab_operator.model.snapshot import Target

USUAL, USUAL_SECONDS = 1.25, 90.0  # for a lead time of that length
CHOICES = (1.0, 1.04, 1.08, 1.12, 1.16, 1.2, 1.25, 1.3, 1.4, 1.5, 1.6, 1.75)
LATE_RATIO = 1.05  # above what is ready: batches give way a little
PRIOR_TIMES = 30.0  # the usual headroom counts as so many times, of which twice the allowance was late below it
SPENT_SHARE = 0.5
USUAL_START_SECONDS = 60.0
LONGEST_START_SECONDS = 1800.0  # beyond that a pod lost its readiness and found it again


def usual(lead_seconds: float) -> float:
    """Return the headroom to begin with: USUAL, and more where the lead time is longer than USUAL_SECONDS."""
    wanted = 1.0 + (USUAL - 1.0) * math.sqrt(max(1.0, lead_seconds / USUAL_SECONDS))
    return min(CHOICES, key=lambda choice: abs(choice - wanted))


def headroom(
    past: Sequence[float], lead_steps: int, stabilization_steps: int, allowed_share: float, before: float = USUAL
) -> float:
    """Return the factor by which what is ready should exceed the load; that of `before` without a past to learn from.

    `past` are loads at regular times, oldest first, in any unit.
    """
    loads = np.array(past, float)
    lead, held = max(1, lead_steps), max(1, stabilization_steps)
    if len(loads) <= lead + 1:
        return before
    padded = np.concatenate([np.full(held - 1, loads[0]), loads])
    ordered = np.lib.stride_tricks.sliding_window_view(padded, held).max(axis=1)[:-lead]
    times, spent = len(ordered), SPENT_SHARE * allowed_share
    for choice in CHOICES:
        late = float((loads[lead:] > LATE_RATIO * choice * ordered).sum())
        prior = PRIOR_TIMES * 4.0 * spent if choice < before else 0.0
        if (late + prior) / (times + PRIOR_TIMES) <= spent:
            return choice
    return CHOICES[-1]


def start_seconds(target: Target) -> float:
    """Return how long a replica of this target takes from its order until it serves: the median of those that did."""
    taken = [
        pod.ready_at - pod.created_at
        for pod in target.pods
        if pod.ready_at is not None and 0.0 < pod.ready_at - pod.created_at <= LONGEST_START_SECONDS
    ]
    return float(np.median(taken)) if taken else USUAL_START_SECONDS
