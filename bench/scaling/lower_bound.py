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
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

from bench.scaling.rival import Objectives
from trimtab_operator.model.arrays import Floats
from trimtab_replay.batches import Ints
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
    numbers, places = (np.array(each) for each in zip(*served, strict=True))
    # Variables: work done by class and bin, then replicas by bin, then replicas that begin to serve by bin.
    done, serving, begun = (start + np.arange(length) for start, length in _places(len(served), bins, bins - 1))
    later = np.arange(bins - 1)
    capacity, growth = 1 + len(classes), 1 + len(classes) + bins
    entries = (
        _entries(np.zeros(len(served), int), done, -1.0),  # enough work is done in all
        _entries(1 + numbers, done, 1.0),  # of each class no more than there is
        _entries(capacity + places, done, 1.0),  # in each bin no more than replicas can do
        _entries(capacity + np.arange(bins), serving, -BIN_SECONDS),
        _entries(growth + later, serving[1:], 1.0),  # whatever grows began to serve
        _entries(growth + later, serving[:-1], -1.0),
        _entries(growth + later, begun, -1.0),
    )
    limits = np.concatenate([[-needed], [amount for _, _, amount in classes], np.zeros(2 * bins - 1)])
    cost = np.concatenate([np.zeros(len(done)), np.full(bins, BIN_SECONDS), np.full(bins - 1, startup_seconds)])
    rows, columns, values = (np.concatenate(each) for each in zip(*entries, strict=True))
    matrix = coo_array((values, (rows, columns)), shape=(len(limits), len(cost))).tocsr()
    found = linprog(cost, A_ub=matrix, b_ub=limits, method="highs")
    if not found.success:
        raise ValueError(f"no lower bound: {found.message}")
    return Bound(float(found.fun), np.asarray(found.x[serving]))


def _places(*lengths: int) -> Iterator[tuple[int, int]]:
    """Return where each group of variables begins, with its length."""
    return zip(accumulate(lengths, initial=0), lengths, strict=False)


def _entries(rows: Ints, columns: Ints, value: float) -> tuple[Ints, Ints, Floats]:
    """Return entries of the matrix that have the same value."""
    return rows, columns, np.full(len(rows), value)


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
