"""How full replicas are that batch continuously: the load, in replicas that it would just fill.

A decoding step with n sequences takes a (h + n) seconds (Yu et al., Orca, OSDI 2022; vLLM alike), so a replica gives
n / (a (h + n)) tokens a second: load is linear in n / (h + n), not in n, nor in the KV cache that n take. `h`, the
sequences at which half of a step is their own, comes from a ridge regression of the mean time between tokens on n over
the past. What fills a replica is told in full_replica. What waits is load besides: what it grows by, and what of it is
to be answered until replicas that are ordered now could serve; a request is worth the past's load over its answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trimtab_api.policy import OptimizationPolicy
from trimtab_operator.analysis.full_replica import full_sequences
from trimtab_operator.analysis.sequences import MEAN_SECONDS, SequenceHistory, sequence_history
from trimtab_operator.model.arrays import Floats
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot

USUAL_HALF = 30.0
"""Sequences: what `h` is taken for until the past says more."""
LEAST_HALF, LARGEST_HALF = 4.0, 400.0
PRIOR_POINTS, PRIOR_SPREAD = 20.0, 0.3  # the usual value weighs as so many points whose n vary by that share


@dataclass(frozen=True)
class Occupancy:
    """Load in replicas that it would just fill, now and in the past, one value each `step_seconds`, oldest first.

    `full` are the sequences with which an objective is just met, `half` is `h`. `cautious_replicas` are the past with
    the more cautious reading of what fills a replica.
    """

    full: float
    half: float
    load_replicas: float
    past_replicas: tuple[float, ...]
    cautious_replicas: tuple[float, ...]
    step_seconds: float


def occupancy(snapshot: Snapshot, policy: OptimizationPolicy, start_seconds: float) -> Occupancy | None:
    """Measure it; None where sequences, answers or the durations of an objective are not known.

    `start_seconds` is how long a replica takes to start.
    """
    seen = sequence_history(snapshot)
    if seen is None:
        return None
    half = _half(seen, seen.read(snapshot, Signal.INTER_TOKEN_LATENCY_MEAN_SECONDS))
    fills, answers = full_sequences(snapshot, policy, seen, half), seen.read(snapshot, Signal.REQUESTS_PER_SECOND)
    if fills is None or not np.isfinite(answers).any():
        return None
    bold, cautious = (_load(seen, half, each, answers, start_seconds) for each in (fills.bold, fills.cautious))
    return Occupancy(
        full=fills.bold,
        half=half,
        load_replicas=float(bold[-1]),
        past_replicas=tuple(bold.tolist()),
        cautious_replicas=tuple(cautious.tolist()),
        step_seconds=seen.step_seconds,
    )


def _load(seen: SequenceHistory, half: float, full: float, answers: Floats, start_seconds: float) -> Floats:
    """Return the load in replicas, by time: what is served, and what waits."""
    served = seen.replicas * seen.running / (half + seen.running) * (half + full) / full
    known = np.isfinite(answers)
    replica_seconds = float(served[known].sum() / answers[known].sum())  # of one request
    steps = seen.steps(MEAN_SECONDS)
    before = np.concatenate([np.full(steps, seen.waiting[0]), seen.waiting])[: len(seen.waiting)]
    grows_rps = np.maximum(0.0, seen.waiting - before) / (steps * seen.step_seconds)
    return np.asarray(served + replica_seconds * (grows_rps + seen.waiting / max(MEAN_SECONDS, start_seconds)))


def _half(seen: SequenceHistory, token_seconds: Floats) -> float:
    """Return the sequences at which half of a step is their own (ridge regression: Hoerl and Kennard, 1970)."""
    known = np.isfinite(token_seconds)
    if not known.any():
        return USUAL_HALF
    running, seconds = seen.running[known], token_seconds[known]
    mean_running, mean_seconds = float(running.mean()), float(seconds.mean())
    usual = mean_seconds / (USUAL_HALF + mean_running)
    prior = PRIOR_POINTS * (PRIOR_SPREAD * max(1.0, mean_running)) ** 2
    moved = running - mean_running
    slope = (float(moved @ (seconds - mean_seconds)) + prior * usual) / (float(moved @ moved) + prior)
    half = mean_seconds / slope - mean_running if slope > 0.0 else LARGEST_HALF
    return min(max(half, LEAST_HALF), LARGEST_HALF)
