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
    """Return p99 over all requests of the change-seconds ÷ that of the quiet seconds, bootstrapped by whole seconds.

    None where either has no requests.
    """
    if not sum(map(len, changed)) or not sum(map(len, quiet)):
        return None
    dice = np.random.default_rng(_SEED)
    ratios = [_tail(_drawn(changed, dice)) / _tail(_drawn(quiet, dice)) for _ in range(_RESAMPLES)]
    low, high = (float(bound) for bound in np.quantile(ratios, [0.025, 0.975]))
    mean = _tail(np.concatenate(changed)) / _tail(np.concatenate(quiet))
    return Ratio(mean, low, high, min(len(changed), len(quiet)))


def in_flight(changes: Sequence[Change], scheduled: NDArray[np.float64], received: NDArray[np.float64]) -> int:
    """Count the changes at which a request was under way both when they were served and when they were in force."""
    return sum(
        all(bool(((scheduled <= at) & (received > at)).any()) for at in (change.served_at, change.reported_at))
        for change in changes
    )


def _drawn(seconds: Sequence[NDArray[np.float64]], dice: np.random.Generator) -> NDArray[np.float64]:
    return np.concatenate([seconds[place] for place in dice.integers(0, len(seconds), len(seconds))])


def _tail(latencies: NDArray[np.float64]) -> float:
    return float(np.quantile(latencies, TAIL)) if len(latencies) else float("nan")
