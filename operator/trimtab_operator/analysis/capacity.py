"""What the load is, how full the replicas are, and what one of them carries.

* Of a runtime that batches continuously the load is known in replicas (analysis/occupancy): utilization is its share of
  those that serve. Of all others:
* utilization = the fullest of the devices (busy share of the worker, GPU utilization, and CPU used over its limit where
  the pods have no GPU) or of what the runtime's table names instead; means over the seasoned serving pods, at most 1.
* demand = offered requests per second (refused ones too) + backlog / 10 s. While no device is 0.8 busy the backlog is
  the smaller of the last two looks at the queue, so that one burst between two scrapes is no demand.
* capacity of a replica = good answers per second / (replicas x utilization): learned online, from every tick in which
  utilization is at least 0.1 and at least 20 requests were answered. Below that it is not known.
"""

from __future__ import annotations

import math

from trimtab_api.policy import OptimizationPolicy
from trimtab_api.quantities import parse_ratio
from trimtab_operator.analysis import headroom, load, lookback, pods
from trimtab_operator.analysis.attainment import latency_rules
from trimtab_operator.analysis.occupancy import Occupancy, occupancy
from trimtab_operator.analysis.sequences import MEAN_SECONDS
from trimtab_operator.analysis.use import Use
from trimtab_operator.model import series
from trimtab_operator.model.analysis import Capacity, Evidence, Load
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot, Target, TargetProblem

DRAIN_SECONDS = 10.0
MIN_UTILIZATION = 0.1


def capacity(snapshot: Snapshot, policy: OptimizationPolicy, use: Use) -> Capacity | None:
    """Measure load and use; None where not even the use of the pods is known."""
    if isinstance(snapshot.target, TargetProblem):
        return None
    found = occupancy(snapshot, policy, headroom.start_seconds(snapshot.target))
    load_now = None if found is None else _load(snapshot, policy, snapshot.target, found)
    used = use.replicas if load_now is None else _occupied(snapshot, load_now)
    if not used:
        return None
    binding = max(used, key=lambda signal: used[signal])
    utilization = used[binding]
    demand = _demand(snapshot, use.backlog_requests)
    facts = [pods.evidence(snapshot, binding, utilization)]
    if demand is not None:
        requests = load.requests_in_window(snapshot)
        facts.append(
            pods.evidence(snapshot, Signal.REQUESTS_PER_SECOND, demand, None if requests is None else int(requests))
        )
    return Capacity(
        demand_rps=demand,
        demand_peak_rps=_demand_peak(snapshot, policy, demand),
        per_replica_rps=_per_replica(snapshot, utilization),
        utilization_ratio=utilization,
        binding=binding,
        evidence=(*facts, *_backlog_evidence(snapshot, use.backlog_requests)),
        utilization_peak_ratio=None if load_now else _utilization_peak(snapshot, policy, used),
        memory_pressure_ratio=_memory_pressure(snapshot, policy),
        load=load_now,
    )


def _occupied(snapshot: Snapshot, load_now: Load) -> dict[Signal, float]:
    return {Signal.RUNNING_REQUESTS: min(1.0, load_now.replicas / max(1, len(pods.serving(snapshot))))}


def _load(snapshot: Snapshot, policy: OptimizationPolicy, target: Target, found: Occupancy) -> Load:
    """Return the load with its peak, and the headroom that the past asks for at the lead time of this target.

    The peak is that of a start at least: what would be asked for again before it could serve is not removed. It is read
    cautiously, so that a replica does not go because the reading was bold for once.
    """
    start_seconds = headroom.start_seconds(target)
    held = max(lookback.stabilization_seconds(policy), start_seconds)
    allowed = min(1.0 - rule.percentile / 100.0 for _, rule in latency_rules(policy.spec.objectives))
    lead_seconds = start_seconds + MEAN_SECONDS / 2.0
    start = snapshot.now - held
    covered = series.covers(snapshot.history.get(Signal.RUNNING_REQUESTS), start, snapshot.now)
    steps = math.ceil(held / found.step_seconds)
    return Load(
        replicas=found.load_replicas,
        peak_replicas=max(found.cautious_replicas[-steps:]) if covered else None,
        headroom=headroom.headroom(found.past_replicas, round(lead_seconds / found.step_seconds), steps, allowed),
        full_sequences=found.full,
    )


def _demand(snapshot: Snapshot, backlog: float | None) -> float | None:
    offered = pods.total(snapshot, Signal.REQUESTS_PER_SECOND)
    return None if offered is None else offered + (backlog or 0.0) / DRAIN_SECONDS


def _backlog_evidence(snapshot: Snapshot, backlog: float | None) -> tuple[Evidence, ...]:
    return () if backlog is None else (pods.evidence(snapshot, Signal.QUEUE_REQUESTS, backlog),)


def _per_replica(snapshot: Snapshot, utilization: float) -> float | None:
    """Divide good answers by the use that they needed, over the same seasoned pods."""
    offered = pods.values(snapshot, Signal.REQUESTS_PER_SECOND)
    failed = pods.values(snapshot, Signal.ERRORS_PER_SECOND)
    reading = snapshot.readings.get(Signal.REQUESTS_PER_SECOND)
    if not offered or reading is None or utilization < MIN_UTILIZATION:
        return None
    served = sum(max(0.0, rate - failed.get(name, 0.0)) for name, rate in offered.items())
    if served * reading.window_seconds < load.MIN_REQUESTS:
        return None
    return served / (len(offered) * utilization)


def _demand_peak(snapshot: Snapshot, policy: OptimizationPolicy, demand: float | None) -> float | None:
    """Return the largest demand within the stabilisation time; the peaks of rate and queue add up (the safe side)."""
    start = snapshot.now - lookback.stabilization_seconds(policy)
    offered = snapshot.history.get(Signal.REQUESTS_PER_SECOND)
    highest = series.peak_since(offered, start)
    if demand is None or highest is None or not series.covers(offered, start, snapshot.now):
        return None
    waiting = series.peak_since(snapshot.history.get(Signal.QUEUE_REQUESTS), start)
    return max(demand, highest.value + (waiting.value if waiting else 0.0) / DRAIN_SECONDS)


def _utilization_peak(snapshot: Snapshot, policy: OptimizationPolicy, used: dict[Signal, float]) -> float | None:
    """Return the largest use of a device within the stabilisation time; None if a device's series does not cover it."""
    start = snapshot.now - lookback.stabilization_seconds(policy)
    if Signal.QUEUE_REQUESTS in used:  # full now: no peak can be larger
        return 1.0
    peaks: list[float] = []
    for signal, value in used.items():
        highest = series.peak_since(snapshot.history.get(signal), start)
        if highest is None or not series.covers(snapshot.history.get(signal), start, snapshot.now):
            return None
        whole = sum(load.cpu_limits(snapshot).values()) if signal is Signal.CPU_USED_CORES else 1.0
        peaks.append(min(1.0, max(value, highest.value / whole)))
    return max(peaks)


def _memory_pressure(snapshot: Snapshot, policy: OptimizationPolicy) -> float | None:
    """Return GPU memory in use over the policy's limit; None without the objective or where it was not measured.

    vLLM takes its whole share of the memory at its start, so its memory says nothing of load.
    """
    objectives = policy.spec.objectives
    used = pods.total(snapshot, Signal.GPU_MEMORY_USED_RATIO)
    target = snapshot.target
    if objectives is None or objectives.gpu_memory_ratio is None or used is None or isinstance(target, TargetProblem):
        return None
    limit = parse_ratio(objectives.gpu_memory_ratio.max)
    return None if target.runtime == "vllm" or limit == 0.0 else used / limit
