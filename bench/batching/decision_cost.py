"""CPU time of one decision of the engine's rule, by how much waits."""

from __future__ import annotations

import statistics
import time

from bench.batching.policies import Ours
from bench.batching.trace import DENSE, PACED, Device, mixed, poisson
from trimtab_engine.batching.latency_model import LatencyModel, Shape

QUEUES = (1, 32, 512)
_DECISIONS = 60


def decision_microseconds(queue: int, *, lengths: bool, backlog: bool) -> float:
    """Return the median CPU time of dropping and forming a batch of `queue` waiting requests.

    `lengths`: of mixed lengths on a device that pays for padding. `backlog`: with deadlines that not all can meet, else
    with ample ones.
    """
    device = DENSE if lengths else PACED
    rate = 2.0 * queue / device.budget_seconds  # the last half of a budget, so that nothing has expired
    arrivals = (mixed if lengths else poisson)(rate, device.budget_seconds * 10.0, 1)[:queue]
    budget = device.budget_seconds if backlog else 60.0
    asked = Device(device.name, device.per_pass, device.per_row, device.per_place, budget, device.largest)
    latency, took = _learned(device), []
    for _ in range(_DECISIONS):
        ours = Ours(asked, latency)
        for request in arrivals:
            ours.add(request)
        now = arrivals[-1].at + 0.001
        began = time.thread_time_ns()
        ours.decide(now)
        took.append((time.thread_time_ns() - began) / 1000.0)
    return statistics.median(took)


def _learned(device: Device) -> LatencyModel:
    latency = LatencyModel()
    for turn in range(256):
        rows, longest = 1 + turn * 7 % device.largest, 1 if device is PACED else 8 + turn * 37 % 249
        latency.observe(Shape(rows, max(rows, rows * longest * 2 // 3), longest), device.seconds(rows, longest))
    return latency
