"""What no controller can stay below: the GPU time that reaches an attainment, knowing the future.

A relaxation of the simulated fleet (the proof is in docs/concepts/scaling-bound.md):
* A request that keeps its objectives takes a share of its replica's time that has a lower bound. Of a step with n
  sequences, which lasts s + n q seconds, q falls to each of them, and s in equal parts, or in parts as their tokens
  take of the KV cache. Its steps last m seconds in the mean at most, or it would be late; so n is (m - s) / q in the
  mean at most, and by convexity an equal part is s q / (m - s) at least.
* This work must lie between its arrival and the last moment at which it may end, on replicas that serve then.
* Each replica that begins to serve costs its start-up besides; those of the beginning are there.
* Requests that miss are chosen such that as much work as possible is spared.
The cheapest fleet, which may be a fraction of a replica, is the solution of a linear program.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

from bench.scaling.rival import Objectives
from trimtab_operator.model.arrays import Floats
from trimtab_replay.serving import ServingModel
from trimtab_replay.trace import Trace

BIN_SECONDS = 30.0


@dataclass(frozen=True)
class Bound:
    """The least replica-seconds, from order to release, and the serving replicas by bin that have them."""

    replica_seconds: float
    replicas: Floats


def work_seconds(trace: Trace, model: ServingModel, objectives: Objectives) -> Floats:
    """Return the least replica time of each request that keeps its objectives."""
    steps = model.first_token_steps + trace.output_tokens - 1.0
    reading = trace.prompt_tokens * model.prompt_token_seconds
    longest = _latest_seconds(trace, objectives) - reading - model.overhead_seconds
    mean_step = np.maximum(longest / steps, model.step_seconds + model.sequence_seconds)
    most = np.minimum((mean_step - model.step_seconds) / model.sequence_seconds, model.max_sequences)
    equal = 1.0 / most
    by_tokens = (trace.prompt_tokens + trace.output_tokens) / model.kv_tokens
    part = max(equal, by_tokens, key=lambda share: float((steps * share).sum()))
    return np.asarray(reading + steps * (model.sequence_seconds + model.step_seconds * part))


def lower_bound(trace: Trace, model: ServingModel, objectives: Objectives, startup_seconds: float) -> Bound:
    """Solve the linear program. Raises ValueError where it has no solution."""
    work = work_seconds(trace, model, objectives)
    needed = np.sort(work)[: math.ceil(objectives.share * len(work))].sum()
    classes = _classes(trace, work, _latest_seconds(trace, objectives))
    bins = max(first + span for first, span, _ in classes)
    served = [
        (number, place) for number, (first, span, _) in enumerate(classes) for place in range(first, first + span)
    ]
    count = len(served)
    # Variables: served work by class and bin, replicas by bin, replicas that begin to serve by bin (but the first).
    columns = np.arange(count)
    numbers, places = (np.array(each) for each in zip(*served, strict=True))
    total = (np.zeros(count, int), columns, np.full(count, -1.0))
    by_class = (1 + numbers, columns, np.ones(count))
    row = 1 + len(classes)
    by_bin = (row + places, columns, np.ones(count))
    room = (row + np.arange(bins), count + np.arange(bins), np.full(bins, -BIN_SECONDS))
    row += bins
    later = np.arange(1, bins)
    grown = (row + later - 1, count + later, np.ones(bins - 1))
    since = (row + later - 1, count + later - 1, np.full(bins - 1, -1.0))
    begun = (row + later - 1, count + bins + later - 1, np.full(bins - 1, -1.0))
    rows, places_, values = (
        np.concatenate(each) for each in zip(total, by_class, by_bin, room, grown, since, begun, strict=True)
    )
    limits = np.concatenate([[-needed], [amount for _, _, amount in classes], np.zeros(bins), np.zeros(bins - 1)])
    cost = np.concatenate([np.zeros(count), np.full(bins, BIN_SECONDS), np.full(bins - 1, startup_seconds)])
    matrix = coo_array((values, (rows, places_)), shape=(len(limits), len(cost))).tocsr()
    found = linprog(cost, A_ub=matrix, b_ub=limits, method="highs")
    if not found.success:
        raise ValueError(f"no lower bound: {found.message}")
    return Bound(float(found.fun), np.asarray(found.x[count : count + bins]))


def _latest_seconds(trace: Trace, objectives: Objectives) -> Floats:
    """Return how long after its arrival each request may end at the latest."""
    return objectives.ttft_seconds + objectives.tpot_seconds * (trace.output_tokens - 1.0)


def _classes(trace: Trace, work: Floats, latest: Floats) -> list[tuple[int, int, float]]:
    """Return work by the bin in which it comes and the bins in which it may be done (a power of two of them)."""
    first = np.floor(trace.arrived / BIN_SECONDS).astype(int)
    span = 2 ** np.ceil(np.log2(latest / BIN_SECONDS + 1.0)).astype(int)
    keys, place = np.unique(np.stack([first, span], axis=1), axis=0, return_inverse=True)
    amounts = np.bincount(place.ravel(), weights=work)
    return [(int(begin), int(length), float(amount)) for (begin, length), amount in zip(keys, amounts, strict=True)]
