"""What no rule can exceed, whatever it knows: by arithmetic, and by one that knows every arrival beforehand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.batching.play import highest_rate
from bench.batching.trace import Device, Request, Trace


def steady_limit(device: Device) -> float:
    """Return the rate per second beyond which more than 1 % is late even if arrivals come at even distances.

    Who arrives as a pass begins waits for it and is in the next, so that passes of n rows, one after another, serve all
    in time only while 2 T(n) is within the budget; of longer ones the share 2 - budget / T(n) comes too late.
    """
    best = 0.0
    for rows in range(1, device.largest + 1):
        seconds = device.seconds(rows)
        late = max(0.0, 2.0 - device.budget_seconds / seconds)
        if late <= 0.01:
            best = max(best, rows / (1.0 - late) / seconds)
    return best


def fewest_missed(arrivals: Sequence[Request], device: Device, most: int) -> int:
    """Return how many requests of one length at least miss their deadline; `most` + 1 where it is more than `most`.

    Every arrival is known beforehand and a pass takes its mean time. All budgets being equal, some best schedule serves
    those that it does not give up in order of arrival, each batch of neighbours, and gives up between batches only: any
    other becomes such a one, with no pass later, by exchanging neighbours. So the earliest end of having dealt with the
    first i arrivals with j given up follows from those before it, by dynamic programming.
    """
    largest = device.largest
    at = np.array([request.at for request in arrivals])
    times = np.array([device.seconds(rows) for rows in range(1, largest + 1)])
    ends = np.full((largest, most + 1), np.inf)  # a ring over i: seconds, by how many are given up
    ends[0] = 0.0
    for done in range(1, len(arrivals) + 1):
        sizes = np.arange(1, min(done, largest) + 1)
        ended = np.maximum(ends[(done - sizes) % largest], at[done - 1]) + times[: len(sizes), None]
        ended[ended > (at[done - sizes] + device.budget_seconds)[:, None]] = np.inf
        best = ended.min(axis=0)
        best[1:] = np.minimum(best[1:], ends[(done - 1) % largest][:-1])
        ends[done % largest] = best
    reached = np.isfinite(ends[len(arrivals) % largest])
    return int(reached.argmax()) if reached.any() else most + 1


def clairvoyant_capacity(device: Device, trace: Trace, seconds: float, seed: int) -> float:
    """Return the highest rate per second at which 99 % could be answered in time by who knows every arrival."""

    def enough(rate: float) -> bool:
        arrivals = trace(rate, seconds, seed)
        allowed = len(arrivals) // 100
        return fewest_missed(arrivals, device, allowed) <= allowed

    return highest_rate(enough, 0.5 * device.saturation, device.saturation)
