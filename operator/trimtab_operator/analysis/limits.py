"""How near each resource of the target is to its limit: one written rule for each kind of bottleneck.

A score is what was measured over the border of its rule; from 1 on the rule holds. What was not measured has no score.
The rules are asked in this order, and within a rank the largest score first:

Memory:   GpuMemory        GPU memory is over the limit: the policy's, else 0.90 (vLLM takes its share at its start, so
                           that only a policy's limit counts).
Front:    Network          the busier direction carries 0.8 of the bandwidth that the pods declare.
          Cpu              0.8 of the CPU limit is used; or 0.6, and a quarter of the scheduler's periods are throttled.
                           A front that limits keeps the engine's queue short: for each four requests that wait there
                           0.03 more is needed (of the CPU only if a GPU does the work).
Hardware: MemoryBandwidth, Compute, PowerThrottle: a little more memory bandwidth, arithmetic, or power where power or
                           heat holds the clocks down half of the time, gains (`roofline`) 0.8 of its share; or, where
                           requests wait, more than room for more of them would.
Cache:    KvCapacity       0.8 of the KV cache is in use.
Queue:    Queue            requests wait or are refused, though no rule above holds (`_queue`).
Device:   Compute          the fullest device is 0.8 busy, and which of its parts is full is not known.
Idle:     Underused        the fullest of all is below 0.3, now and on average over the last five minutes.

A decode loop keeps a GPU active whatever it does: its busy share says nothing of vLLM where the roofline is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from statistics import fmean

from trimtab_api.findings import BottleneckKind
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.quantities import parse_ratio
from trimtab_operator.analysis import load, pods
from trimtab_operator.analysis.quality import on_gpu
from trimtab_operator.analysis.roofline import mean, roofline
from trimtab_operator.analysis.seen import Seen
from trimtab_operator.analysis.use import Use
from trimtab_operator.model import histogram
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot, TargetProblem
from trimtab_operator.runtimes.select import RUNTIMES
from trimtab_operator.runtimes.table import Runtime

FULL, MEMORY_LIMIT, UNDERUSED = 0.8, 0.90, 0.3
FRONT_PER_QUEUE = 0.03
CPU_USED_WHEN_THROTTLED, CPU_THROTTLED = 0.6, 0.25
WAIT_SHARE, PRESSURE_UTILIZATION, PRESSURE_BACKLOG, PRESSURE_REFUSED = 0.5, 0.6, 4.0, 0.01
HELD_DOWN = 0.5
MEMORY_POWER = 0.5
"""What memory gains less where the clocks pay for the power that it draws."""
LEAST_GAIN = 0.05
FULL_IS_SURE, GAIN_IS_SURE = 1.25, 3.0
"""From how many times its border on a rule is sure: a device is then full; a gain is only reckoned."""

_PIPES = (Signal.GPU_DRAM_ACTIVE_RATIO, Signal.GPU_TENSOR_ACTIVE_RATIO)
_BUSY = (Signal.BUSY_RATIO, Signal.GPU_UTILIZATION_RATIO, Signal.CPU_USED_CORES)


class Rank(IntEnum):
    """The order in which rules are asked; within one rank the largest score is first."""

    MEMORY = 0
    FRONT = 1
    HARDWARE = 2
    CACHE = 3
    QUEUE = 4
    DEVICE = 5
    IDLE = 6


@dataclass(frozen=True)
class Limit:
    """How near one kind is to its limit (1: its rule holds), by which signals, and from which score on it is sure."""

    kind: BottleneckKind
    rank: Rank
    score: float
    signals: tuple[Signal, ...]
    sure: float = FULL_IS_SURE


@dataclass(frozen=True)
class Wait:
    """p95 of waiting and p95 of the whole request, in seconds, and the requests behind them."""

    wait_seconds: float
    latency_seconds: float
    requests: int


def limits(snapshot: Snapshot, policy: OptimizationPolicy, use: Use, waited: Wait | None) -> tuple[Limit, ...]:
    """Score every kind that was measured, in the order in which the rules are asked; `use` must tell of some."""
    queue = _queue(snapshot, use, waited)
    waits, front_full = queue.score >= 1.0, min(1.0, FULL + FRONT_PER_QUEUE * queue.score)
    found = [
        *_gpu_memory(snapshot, policy),
        *_network(snapshot, front_full),
        *_cpu(snapshot, front_full if on_gpu(snapshot) else FULL),
        *_hardware(snapshot, use, waits),
        *_kv_capacity(use),
        queue,
        _underused(snapshot, use),
    ]
    return tuple(sorted(found, key=lambda each: (each.rank, -each.score)))


def _gpu_memory(snapshot: Snapshot, policy: OptimizationPolicy) -> Iterator[Limit]:
    used = pods.total(snapshot, Signal.GPU_MEMORY_USED_RATIO)
    objectives, runtime = policy.spec.objectives, _runtime(snapshot)
    own = objectives.gpu_memory_ratio if objectives else None
    if used is not None and (own is not None or runtime is None or runtime.name != "vllm"):
        limit = parse_ratio(own.max) if own else MEMORY_LIMIT
        score = used / max(limit, 0.01)
        yield Limit(BottleneckKind.GPU_MEMORY, Rank.MEMORY, score, (Signal.GPU_MEMORY_USED_RATIO,))


def _network(snapshot: Snapshot, full: float) -> Iterator[Limit]:
    declared = {pod.name: pod.network_limit_bytes_per_second for pod in pods.serving(snapshot)}
    used = [
        carried / limit
        for name, carried in pods.values(snapshot, Signal.NETWORK_BYTES_PER_SECOND).items()
        if (limit := declared.get(name))
    ]
    if used:
        yield Limit(
            BottleneckKind.NETWORK, Rank.FRONT, min(1.0, fmean(used)) / full, (Signal.NETWORK_BYTES_PER_SECOND,)
        )


def _cpu(snapshot: Snapshot, full: float) -> Iterator[Limit]:
    used = load.cpu_ratio(snapshot)
    if used is None:
        return
    throttled = mean(snapshot, Signal.CPU_THROTTLED_RATIO) or 0.0
    score = max(min(1.0, used) / full, min(used / CPU_USED_WHEN_THROTTLED, throttled / CPU_THROTTLED, FULL / full))
    signals = (Signal.CPU_USED_CORES, Signal.CPU_LIMIT_CORES, Signal.CPU_THROTTLED_RATIO)
    yield Limit(BottleneckKind.CPU, Rank.FRONT, score, signals)


def _hardware(snapshot: Snapshot, use: Use, waits: bool) -> Iterator[Limit]:
    """Score the parts of the GPU: by what they would gain, or by how full they are, or all of it by how busy it is."""
    made, held = roofline(snapshot), mean(snapshot, Signal.GPU_THROTTLED)
    busy = max(use.devices.values(), default=0.0) / FULL
    if made is None:
        yield from _clocks(Rank.DEVICE, busy, busy, held, FULL_IS_SURE)
        return
    if waits:
        sure, border = GAIN_IS_SURE, max(made.sequences, LEAST_GAIN)
        memory = made.memory * (1.0 - MEMORY_POWER * (held or 0.0)) / border
        compute, power = made.arithmetic / border, made.power / border
    else:
        sure, memory, compute = FULL_IS_SURE, made.memory / FULL, made.arithmetic / FULL
        power = compute
    yield Limit(BottleneckKind.MEMORY_BANDWIDTH, Rank.HARDWARE, memory, _PIPES, sure)
    if compute >= 1.0 or _always_active(snapshot):
        yield from _clocks(Rank.HARDWARE, compute, power, held, sure)
    else:
        yield from _clocks(Rank.DEVICE, busy, power, held, FULL_IS_SURE)


def _clocks(rank: Rank, compute: float, power: float, held: float | None, sure: float) -> Iterator[Limit]:
    """Tell arithmetic at free clocks from arithmetic at clocks that are held down for so large a share of the time.

    Clocks that are free as often as held leave it open which of the two limits.
    """
    signals = (*_BUSY, *_PIPES, Signal.GPU_THROTTLED)
    if held is None:
        yield Limit(BottleneckKind.COMPUTE, rank, compute, signals, sure)
        return
    sure *= 1.0 + 4.0 * held * (1.0 - held)
    yield Limit(BottleneckKind.COMPUTE, rank, compute * min(1.0, (1.0 - held) / HELD_DOWN), signals, sure)
    throttled = power * min(1.0, held / HELD_DOWN)
    yield Limit(BottleneckKind.POWER_THROTTLE, Rank.HARDWARE, throttled, tuple(reversed(signals)), sure)


def _kv_capacity(use: Use) -> Iterator[Limit]:
    used = use.replicas.get(Signal.KV_CACHE_USED_RATIO)
    if used is not None:
        yield Limit(BottleneckKind.KV_CAPACITY, Rank.CACHE, used / FULL, (Signal.KV_CACHE_USED_RATIO,))


def _queue(snapshot: Snapshot, use: Use, found: Wait | None) -> Limit:
    """Score waiting: its share of the p95, but only under pressure; without, it is the batching delay asked for.

    Pressure is a device at least 0.6 busy, four requests waiting at each replica, or one request in a hundred refused.
    Where requests wait only because a replica can take no more, the four waiting ones are enough.
    """
    replicas, runtime = max(1, len(pods.serving(snapshot))), _runtime(snapshot)
    offered = pods.total(snapshot, Signal.REQUESTS_PER_SECOND) or 0.0
    refused = (pods.total(snapshot, Signal.REJECTED_PER_SECOND) or 0.0) / offered if offered else 0.0
    backlog = (use.backlog_requests or 0.0) / replicas / PRESSURE_BACKLOG
    score = refused / PRESSURE_REFUSED
    if runtime is not None and runtime.queue_means_full:
        score = max(score, (use.lasting_queue or 0.0) / replicas / PRESSURE_BACKLOG)
    if found is not None and found.latency_seconds > 0.0:
        pressure = max(max(use.every.values()) / PRESSURE_UTILIZATION, backlog, score)
        score = max(score, min(found.wait_seconds / found.latency_seconds / WAIT_SHARE, pressure))
    signals = (Signal.QUEUE_SECONDS, Signal.LATENCY_SECONDS, Signal.QUEUE_REQUESTS, Signal.REJECTED_PER_SECOND)
    return Limit(BottleneckKind.QUEUE, Rank.QUEUE, score, signals)


def _underused(snapshot: Snapshot, use: Use) -> Limit:
    """Score the larger of the use now and over five minutes: neither a pause nor a start makes a target underused."""
    signals = (Signal.BUSY_RATIO, Signal.GPU_UTILIZATION_RATIO, Signal.KV_CACHE_USED_RATIO)
    recent = [value for signal in signals if (value := pods.recent(snapshot, signal)) is not None]
    fullest = max(*use.every.values(), *recent, 0.01)
    return Limit(BottleneckKind.UNDERUSED, Rank.IDLE, UNDERUSED / fullest, tuple(use.every))


def wait(seen: Seen) -> Wait | None:
    """Return how long requests wait and take; None without enough of them.

    A p95 below the first bucket counts as nothing; one above the last as the last bound.
    """
    waited, whole = (seen.merged.get(signal) for signal in (Signal.QUEUE_SECONDS, Signal.LATENCY_SECONDS))
    if waited is None or whole is None or histogram.count(whole) < load.MIN_REQUESTS:
        return None
    found = [histogram.percentile(buckets, 95.0) for buckets in (waited, whole)]
    waiting, latency = (
        0.0 if each.outside == "first" else each.bound_seconds if each.seconds is None else each.seconds
        for each in found
    )
    return Wait(waiting, latency, int(histogram.count(whole)))


def _runtime(snapshot: Snapshot) -> Runtime | None:
    return None if isinstance(snapshot.target, TargetProblem) else RUNTIMES.get(snapshot.target.runtime)


def _always_active(snapshot: Snapshot) -> bool:
    runtime = _runtime(snapshot)
    return runtime is not None and bool(runtime.fullness)
