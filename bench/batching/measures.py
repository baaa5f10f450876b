"""What `python -m bench.batching` measures: each function returns the rows of one figure, as they are printed."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence

from bench.batching.decision_cost import QUEUES, decision_microseconds
from bench.batching.limits import clairvoyant_capacity, steady_limit
from bench.batching.play import answered_in_time, capacity, goodput, latencies
from bench.batching.policies import POLICIES, Constants, Ours
from bench.batching.trace import PACED, Device, Trace, drifting, mixed, poisson
from trimtab_engine.batching.latency_model import LatencyModel
from trimtab_engine.settings import LiveSettings

Row = dict[str, object]
_WITHOUT_DEADLINE = Device("paced", PACED.per_pass, PACED.per_row, 0.0, 60.0, 256)


def with_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the geometric mean and its 95 % bootstrap interval."""
    draw, logs = random.Random(1), [math.log(max(value, 1e-9)) for value in values]
    means = sorted(statistics.fmean(draw.choices(logs, k=len(logs))) for _ in range(1000))
    low, middle, high = means[25], statistics.fmean(logs), means[974]
    return math.exp(low), math.exp(middle), math.exp(high)


def capacities(device: Device, trace: Trace, seconds: float, seeds: Sequence[int]) -> list[Row]:
    """Return each rule's capacity and its ratio to CORK's, and for one length what is possible at all."""
    found = {name: [capacity(make, device, trace, seconds, seed) for seed in seeds] for name, make in POLICIES.items()}
    if trace is not mixed:
        found["clairvoyant"] = [clairvoyant_capacity(device, trace, seconds, seed) for seed in seeds]
    measure = f"capacity {device.name} {trace.__name__}"
    rows = [_row(measure, name, values, found["cork"]) for name, values in found.items()]
    if trace is poisson:
        limit = steady_limit(device)
        rows.append(_row(f"{measure}, even arrivals", "limit", [limit] * len(seeds), found["cork"]))
    return rows


def _row(measure: str, name: str, values: Sequence[float], cork: Sequence[float]) -> Row:
    low, ratio, high = with_interval([value / of_cork for value, of_cork in zip(values, cork, strict=True)])
    value = statistics.fmean(values)
    return {"measure": measure, "rule": name, "value": value, "to_cork": ratio, "low": low, "high": high}


def goodputs(seconds: float, seeds: Sequence[int]) -> list[Row]:
    """Return each rule's goodput in overload."""
    rows = []
    for load in (1.3, 1.5):
        found = {name: [goodput(make, load, seconds, seed) for seed in seeds] for name, make in POLICIES.items()}
        rows += [_row(f"goodput paced {load}", name, values, found["cork"]) for name, values in found.items()]
    return rows


def ablation(seconds: float, seeds: Sequence[int]) -> list[Row]:
    """Return the share in time while the device drifts, of the learned latency model and of constants."""
    rows = []
    for load in (0.5, 0.6, 0.7, 0.8):
        shares: dict[str, list[float]] = {"learned": [], "constants": []}
        for seed in seeds:
            arrivals = poisson(load * PACED.saturation, seconds, seed)
            for name, latency in (("learned", LatencyModel()), ("constants", Constants())):
                good = answered_in_time(Ours(latency=latency), arrivals, slowdown=drifting(seconds))
                shares[name].append(good / len(arrivals))
        for name, values in shares.items():
            low, middle, high = with_interval(values)
            rows.append({"measure": f"drift in time {load}", "rule": name, "value": middle, "low": low, "high": high})
    return rows


def adaptive(seconds: float, seed: int) -> list[Row]:
    """Return latencies and the device's working time with Adaptive batching, a greedy rule and a fixed delay."""
    rules = {
        "greedy": LiveSettings(max_batch_size=256, max_queue_delay_seconds=0.0),
        "adaptive": LiveSettings(max_batch_size=256, batching="Adaptive", latency_target_seconds=0.030),
        "5 ms": LiveSettings(max_batch_size=256, max_queue_delay_seconds=0.005),
    }
    slowdowns: dict[str, Callable[[float], float]] = {"": lambda _: 1.0, ", drifting": drifting(seconds)}
    rows: list[Row] = []
    for drift, slowdown in slowdowns.items():
        for load in (0.1, 0.3, 0.5, 0.8):
            arrivals = poisson(load * PACED.saturation, seconds, seed)
            for name, live in rules.items():
                took, busy = latencies(Ours(_WITHOUT_DEADLINE, live=live), arrivals, slowdown=slowdown)
                rows.append(
                    {
                        "measure": f"target 30 ms at load {load}{drift}",
                        "rule": name,
                        "mean_ms": statistics.fmean(took) * 1e3,
                        "p99_ms": statistics.quantiles(took, n=100)[98] * 1e3,
                        "busy": busy / seconds,
                    }
                )
    return rows


def decision_costs() -> list[Row]:
    """Return the CPU time of a decision by what waits."""
    kinds = (
        ("one length", False, False),
        ("one length, backlog", False, True),
        ("mixed lengths", True, False),
        ("mixed lengths, backlog", True, True),
    )
    return [
        {
            "measure": f"decision, {kind}",
            "rule": f"{queue} waiting",
            "microseconds": decision_microseconds(queue, lengths=lengths, backlog=backlog),
        }
        for kind, lengths, backlog in kinds
        for queue in QUEUES
    ]
