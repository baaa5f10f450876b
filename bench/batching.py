"""`python -m bench.batching [--json F]`: the rule of the engine against others, in a simulation that takes seconds.

A pass takes 4 + 0.4 n milliseconds with 5 % noise, a request has 30 ms. Capacity is the highest rate at which 99 % of
the requests offered are answered in time; goodput is the rate answered in time at 1.3 and 1.5 times the saturation
rate, as a share of it. CORK is BentoML's rule (least squares over the last 50 batches, refusal of a hopeless head,
waiting while that is cheaper than the mean wait); fixed is a full batch or 5 ms.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from trimtab_engine.batching.batch import Batch, WaitUntil
from trimtab_engine.batching.latency_model import LatencyModel, Shape, shape_of
from trimtab_engine.batching.rule import Batcher
from trimtab_engine.jobs import Item, Job, TokenRow
from trimtab_engine.settings import LiveSettings

BUDGET_SECONDS = 0.030
LARGEST = 32
SATURATION = LARGEST / (0.004 + 0.0004 * LARGEST)  # batches of the largest size, one after another
_ROW = TokenRow(np.array([1], dtype=np.int32))


class Policy(Protocol):
    """Forms batches of arrival times (seconds); what it gives up it simply forgets."""

    def add(self, at: float) -> None: ...

    def decide(self, now: float) -> Sequence[float] | float | None:
        """Return a batch, the time to ask again, or None when nothing waits."""

    def done(self, size: int, seconds: float) -> None: ...


class Fixed:
    """A full batch, or the oldest has waited 5 ms; nothing is refused."""

    def __init__(self) -> None:
        self._queue: deque[float] = deque()

    def add(self, at: float) -> None:
        self._queue.append(at)

    def decide(self, now: float) -> Sequence[float] | float | None:
        if not self._queue:
            return None
        if len(self._queue) < LARGEST and now < self._queue[0] + 0.005:
            return self._queue[0] + 0.005
        return [self._queue.popleft() for _ in range(min(LARGEST, len(self._queue)))]

    def done(self, size: int, seconds: float) -> None:
        """Nothing is learned."""


class Cork:
    """BentoML's adaptive batching, as its source has it."""

    def __init__(self) -> None:
        self._queue: deque[float] = deque()
        self._seen: deque[tuple[int, float]] = deque(maxlen=50)
        self._per_row, self._per_pass, self._wait, self._count = 0.001, 0.002, 0.01, 0

    def add(self, at: float) -> None:
        self._queue.append(at)

    def decide(self, now: float) -> Sequence[float] | float | None:
        queue = self._queue
        while queue and now - queue[0] + self._per_row * min(len(queue), LARGEST) + self._per_pass >= BUDGET_SECONDS:
            queue.popleft()
        if not queue:
            return None
        size = len(queue)
        if size < LARGEST and size * (now - queue[-1] + 0.001 + self._per_row) <= 0.95 * self._wait:
            return now + 0.001
        taken = [queue.popleft() for _ in range(min(LARGEST, size))]
        self._wait += 0.1 * (sum(now - at for at in taken) / len(taken) - self._wait)
        return taken

    def done(self, size: int, seconds: float) -> None:
        self._seen.append((size, seconds))
        self._count += 1
        if self._count % 10 == 0 and len({n for n, _ in self._seen}) > 1:
            slope, level = np.polyfit([n for n, _ in self._seen], [s for _, s in self._seen], 1)
            self._per_row, self._per_pass = max(0.0, float(slope)), max(0.0, float(level))


class Constants(LatencyModel):
    """A model that was right once and learns nothing."""

    def __init__(self) -> None:
        super().__init__()
        for _ in range(20):
            for rows in (1, 2, 4, 8, 16, 32):
                super().observe(Shape(rows, rows, 1), 0.004 + 0.0004 * rows)

    def observe(self, shape: Shape, seconds: float) -> None:
        """Learn nothing."""


class Ours:
    """The engine's rule."""

    def __init__(self, latency: LatencyModel | None = None) -> None:
        self._latency = LatencyModel() if latency is None else latency
        self._batcher = Batcher(self._latency)
        self._live = LiveSettings(max_batch_size=LARGEST, max_queue_delay_seconds=0.0)

    def add(self, at: float) -> None:
        self._batcher.add([Item(Job(1, at, at + BUDGET_SECONDS, 0, lambda _: None), 0, _ROW, None, at)])

    def decide(self, now: float) -> Sequence[float] | float | None:
        self._batcher.expire(now)
        self._batcher.give_up(now, self._live)
        decision = self._batcher.next_batch(now, self._live, lambda _: LARGEST)
        if isinstance(decision, Batch):
            return [item.enqueued_at for item in decision.items]
        return decision.time if isinstance(decision, WaitUntil) else None

    def done(self, size: int, seconds: float) -> None:
        self._latency.observe(shape_of([1] * size), seconds)


def poisson(rate: float, seconds: float, seed: int) -> list[float]:
    """Return arrival times."""
    draw, at, times = random.Random(seed), 0.0, []
    while (at := at + draw.expovariate(rate)) < seconds:
        times.append(at)
    return times


def bursty(rate: float, seconds: float, seed: int) -> list[float]:
    """Return arrival times of a rate that changes between 0.4 and 1.6 times the mean, each for 0.5 s on average."""
    draw, at, times, high, until = random.Random(seed), 0.0, [], False, 0.0
    while at < seconds:
        if at >= until:
            high, until = not high, at + draw.expovariate(2.0)
        at += draw.expovariate(rate * (1.6 if high else 0.4))
        times.append(at)
    return times


def pass_seconds(size: int, draw: random.Random) -> float:
    """Return the time of a pass."""
    return (0.004 + 0.0004 * size) * max(0.5, draw.gauss(1.0, 0.05))


def answered_in_time(
    policy: Policy,
    arrivals: Sequence[float],
    slowdown: Callable[[float], float] = lambda _: 1.0,
    seed: int = 7,
) -> int:
    """Play the arrivals; a pass that starts at t takes `slowdown(t)` times as long."""
    draw, good, free_at, asked_at = random.Random(seed), 0, 0.0, 0.0
    events = [(at, 0) for at in arrivals]
    heapq.heapify(events)
    while events:
        now, kind = heapq.heappop(events)
        if kind == 0:
            policy.add(now)
        elif now < asked_at:
            continue
        if now < free_at:
            continue
        decision = policy.decide(now)
        if isinstance(decision, float):
            asked_at = decision
            heapq.heappush(events, (decision, 1))
        elif decision is not None:
            seconds = pass_seconds(len(decision), draw) * slowdown(now)
            free_at = asked_at = now + seconds
            heapq.heappush(events, (free_at, 1))
            good += sum(1 for at in decision if free_at - at <= BUDGET_SECONDS)
            policy.done(len(decision), seconds)
    return good


def capacity(make: Callable[[], Policy], trace: Callable[[float, float, int], list[float]], seconds: float) -> float:
    """Return the highest rate (per second, steps of about 1.5 %) at which 99 % are answered in time."""
    low, high = 50.0, 2400.0
    while high / low > 1.015:
        rate = (low * high) ** 0.5
        arrivals = trace(rate, seconds, 3)
        enough = answered_in_time(make(), arrivals) >= 0.99 * len(arrivals)
        low, high = (rate, high) if enough else (low, rate)
    return low


def goodput(make: Callable[[], Policy], load: float, seconds: float) -> float:
    """Return what is answered in time at `load` times the saturation rate, as a share of that rate."""
    return answered_in_time(make(), poisson(load * SATURATION, seconds, 5)) / (SATURATION * seconds)


def drifting(seconds: float) -> Callable[[float], float]:
    """A device that slows down by 1.6 in the middle third."""
    return lambda at: 1.6 if seconds / 3 <= at < 2 * seconds / 3 else 1.0


POLICIES: dict[str, Callable[[], Policy]] = {"fixed": Fixed, "cork": Cork, "trimtab": Ours}


def measure(seconds: float) -> dict[str, dict[str, float]]:
    """Return every figure by policy."""
    table = {
        name: {
            "capacity_poisson": capacity(make, poisson, seconds),
            "capacity_bursty": capacity(make, bursty, seconds),
            "goodput_1.3": goodput(make, 1.3, seconds),
            "goodput_1.5": goodput(make, 1.5, seconds),
        }
        for name, make in POLICIES.items()
    }
    arrivals = poisson(0.7 * SATURATION, seconds, 11)
    for name, latency in (("learned", LatencyModel()), ("constants", Constants())):
        good = answered_in_time(Ours(latency), arrivals, drifting(seconds))
        table[name] = {"drift_in_time": good / len(arrivals)}
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.batching")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args(arguments)
    table = measure(options.seconds)
    for name, figures in table.items():
        print(f"{name:10}", "  ".join(f"{figure} {value:.3f}" for figure, value in figures.items()))
    if options.json is not None:
        options.json.write_text(json.dumps(table, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
