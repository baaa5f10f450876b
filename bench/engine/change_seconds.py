"""Latency in the seconds after changes of settings beside that in quiet seconds. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.engine.statistics import Ratio

TAIL = 0.99
_RESAMPLES = 1000
_SEED = 1


@dataclass(frozen=True)
class Change:
    """A change as the agent saw it (monotonic seconds): served, and reported as in force."""

    served_at: float
    reported_at: float


def of_second(begin: float, scheduled: NDArray[np.float64], latencies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the latencies of the requests that were due in the second from `begin` on."""
    return latencies[(scheduled >= begin) & (scheduled < begin + 1.0)]


def tail_ratio(changed: Sequence[NDArray[np.float64]], quiet: Sequence[NDArray[np.float64]]) -> Ratio | None:
    """Return p99 over all requests of the change-seconds ÷ that of the quiet seconds that follow each.

    Bootstrapped by pairs of seconds: both have the same settings and much the same machine. None where either has no
    requests; raises ValueError for seconds that are no pairs.
    """
    if len(changed) != len(quiet):
        raise ValueError(f"{len(changed)} change-seconds beside {len(quiet)} quiet ones")
    if not sum(map(len, changed)) or not sum(map(len, quiet)):
        return None
    dice = np.random.default_rng(_SEED)
    draws = dice.integers(0, len(changed), (_RESAMPLES, len(changed)))
    ratios = [_tail(changed, drawn) / _tail(quiet, drawn) for drawn in draws]
    low, high = (float(bound) for bound in np.quantile(ratios, [0.025, 0.975]))
    every = np.arange(len(changed))
    return Ratio(_tail(changed, every) / _tail(quiet, every), low, high, len(changed))


def in_flight(changes: Sequence[Change], scheduled: NDArray[np.float64], received: NDArray[np.float64]) -> int:
    """Count the changes at which a request was under way both when they were served and when they were in force."""
    return sum(
        all(bool(((scheduled <= at) & (received > at)).any()) for at in (change.served_at, change.reported_at))
        for change in changes
    )


def _tail(seconds: Sequence[NDArray[np.float64]], places: NDArray[np.int64]) -> float:
    latencies = np.concatenate([seconds[place] for place in places])
    return float(np.quantile(latencies, TAIL)) if len(latencies) else float("nan")
