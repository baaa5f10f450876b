"""Plays arrivals against a rule, and what is read from that."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence

from bench.batching.policies import Make, Policy
from bench.batching.trace import PACED, Device, Request, Trace, poisson

_STEP = 1.004  # of the rate, where the search for a capacity ends


def latencies(
    policy: Policy,
    arrivals: Sequence[Request],
    device: Device = PACED,
    slowdown: Callable[[float], float] = lambda _: 1.0,
    seed: int = 7,
) -> tuple[list[float], float]:
    """Return the seconds from arrival to answer of all that are answered, and the seconds that the device worked.

    A pass has 5 % noise; one that starts at t takes `slowdown(t)` times as long.
    """
    draw, free_at, asked_at, busy_seconds, took = random.Random(seed), 0.0, 0.0, 0.0, []
    events: list[tuple[float, int, int]] = [(request.at, 0, number) for number, request in enumerate(arrivals)]
    while events:
        now, kind, number = heapq.heappop(events)
        if kind == 0:
            policy.add(arrivals[number])
        elif now < asked_at:
            continue
        if now < free_at:
            continue
        decision = policy.decide(now)
        if isinstance(decision, float):
            asked_at = decision
            heapq.heappush(events, (decision, 1, 0))
        elif decision is not None:
            lengths = [request.length for request in decision]
            mean = device.seconds(len(lengths), max(lengths), sum(lengths))
            seconds = mean * max(0.5, draw.gauss(1.0, 0.05)) * slowdown(now)
            free_at = asked_at = now + seconds
            busy_seconds += seconds
            heapq.heappush(events, (free_at, 1, 0))
            took += [free_at - request.at for request in decision]
            policy.done(decision, seconds)
    return took, busy_seconds


def answered_in_time(
    policy: Policy,
    arrivals: Sequence[Request],
    device: Device = PACED,
    slowdown: Callable[[float], float] = lambda _: 1.0,
) -> int:
    """Return how many are answered in time."""
    return sum(seconds <= device.budget_seconds for seconds in latencies(policy, arrivals, device, slowdown)[0])


def highest_rate(enough: Callable[[float], bool], low: float, high: float) -> float:
    """Return the highest rate (per second, within 0.4 %) at which there is enough."""
    while high / low > _STEP:
        rate = (low * high) ** 0.5
        low, high = (rate, high) if enough(rate) else (low, rate)
    return low


def capacity(make: Make, device: Device, trace: Trace, seconds: float, seed: int) -> float:
    """Return the highest rate (per second) at which 99 % are answered in time."""

    def enough(rate: float) -> bool:
        arrivals = trace(rate, seconds, seed)
        return answered_in_time(make(device), arrivals, device) >= 0.99 * len(arrivals)

    return highest_rate(enough, 0.02 * device.saturation, 1.05 * device.saturation)


def goodput(make: Make, load: float, seconds: float, seed: int = 5, device: Device = PACED) -> float:
    """Return what is answered in time at `load` times the saturation rate, as a share of that rate."""
    arrivals = poisson(load * device.saturation, seconds, seed)
    return answered_in_time(make(device), arrivals, device) / (device.saturation * seconds)
