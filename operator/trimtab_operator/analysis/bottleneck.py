"""What limits the target now, by written rules.

Each kind has a score; 1 means that its rule holds. The first in this order wins:

1. GpuMemory: GPU memory in use over the limit (the policy's, else 0.90; not for vLLM without a limit of the policy,
   which takes its share at its start).
2. Queue: at least half of the p95 of a request is waiting (p95 wait over p95 of the whole request), and there is
   pressure: a device at least 0.6 busy, or four requests waiting at each replica, or one request in a hundred refused.
   Without pressure the wait is the batching delay that was asked for.
3. KvCapacity: the KV cache is at least 0.8 full (runtimes that have one).
4. Compute: the fullest device is at least 0.8 busy.
5. Underused: the fullest of all is below 0.3, now and on average over the last five minutes.
6. None.

The kind that stands in status stays while most of its rule holds (`RELEASE`: 0.6 for Compute, 0.4 for Underused),
unless an earlier one of the list holds clearly (`CHALLENGE`): noise at a border writes nothing. Confidence is 0.5 at
the border and 0.95 from half beyond it. The runner-up has the next score. Where passes through the model limit, its
parts are the costliest kinds of layers, if an engine has profiled them.
"""

from __future__ import annotations

from trimtab_api.findings import BottleneckKind
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.quantities import parse_ratio
from trimtab_operator.analysis import load, pods
from trimtab_operator.analysis.capacity import backlog_requests, device_use, fullness
from trimtab_operator.model import histogram
from trimtab_operator.model.analysis import Bottleneck, Evidence
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot, TargetProblem

WAIT_SHARE = 0.5
PRESSURE_UTILIZATION = 0.6
PRESSURE_BACKLOG = 4.0
PRESSURE_REFUSED = 0.01
KV_UTILIZATION = 0.8
COMPUTE_UTILIZATION = 0.8
UNDERUSED_UTILIZATION = 0.3
MEMORY_LIMIT = 0.90
RELEASE = {
    BottleneckKind.GPU_MEMORY: 0.98,
    BottleneckKind.QUEUE: 0.75,
    BottleneckKind.KV_CAPACITY: 0.75,
    BottleneckKind.COMPUTE: 0.75,
    BottleneckKind.UNDERUSED: 0.75,
}
CHALLENGE = {
    BottleneckKind.GPU_MEMORY: 1.0,
    BottleneckKind.QUEUE: 4.0 / 3.0,
    BottleneckKind.KV_CAPACITY: 1.1,
    BottleneckKind.COMPUTE: 1.1,
}
RUNNER_UP_SCORE = 0.5
LEAST_PART, MOST_PARTS = 0.05, 5
_OF_PASSES = (BottleneckKind.QUEUE, BottleneckKind.COMPUTE)
"""The kinds that a faster pass through the model would relieve."""

_ORDER = (
    BottleneckKind.GPU_MEMORY,
    BottleneckKind.QUEUE,
    BottleneckKind.KV_CAPACITY,
    BottleneckKind.COMPUTE,
    BottleneckKind.UNDERUSED,
)


def bottleneck(snapshot: Snapshot, policy: OptimizationPolicy) -> Bottleneck | None:
    """Find what limits the target; None where the use of its devices is not known."""
    used = device_use(snapshot) | fullness(snapshot)
    if not used:
        return None
    utilization = max(used.values())
    devices = max(device_use(snapshot).values(), default=0.0)
    wait = _wait(snapshot)
    scores = {
        BottleneckKind.GPU_MEMORY: _memory_score(snapshot, policy),
        BottleneckKind.QUEUE: _queue_score(snapshot, utilization, wait),
        BottleneckKind.KV_CAPACITY: used.get(Signal.KV_CACHE_USED_RATIO, 0.0) / KV_UTILIZATION,
        BottleneckKind.COMPUTE: devices / COMPUTE_UTILIZATION,
        BottleneckKind.UNDERUSED: UNDERUSED_UTILIZATION / max(_recent_utilization(snapshot, utilization), 0.01),
    }
    kind = _winner(scores, _standing(policy))
    others = sorted((each for each in _ORDER if each is not kind), key=lambda each: -scores[each])
    return Bottleneck(
        kind=kind,
        confidence=_confidence(kind, scores),
        evidence=_evidence(snapshot, used, wait),
        runner_up=others[0] if scores[others[0]] >= RUNNER_UP_SCORE else None,
        parts=_parts(snapshot) if kind in _OF_PASSES else (),
    )


def _parts(snapshot: Snapshot) -> tuple[tuple[str, float], ...]:
    """Return the kinds of layers that take a twentieth of a pass or more, the largest first."""
    large = [(kind, share) for kind, share in snapshot.layer_time.items() if share >= LEAST_PART]
    return tuple(sorted(large, key=lambda part: (-part[1], part[0]))[:MOST_PARTS])


def _winner(scores: dict[BottleneckKind, float], standing: BottleneckKind | None) -> BottleneckKind:
    if standing in scores and scores[standing] >= RELEASE[standing]:
        before = _ORDER[: _ORDER.index(standing)]
        return next((each for each in before if scores[each] >= CHALLENGE[each]), standing)
    return next((each for each in _ORDER if scores[each] >= 1.0), BottleneckKind.NONE)


def _standing(policy: OptimizationPolicy) -> BottleneckKind | None:
    stored = policy.status.bottleneck
    return stored.kind if stored else None


def _confidence(kind: BottleneckKind, scores: dict[BottleneckKind, float]) -> float:
    beyond = 1.0 - max(scores.values()) if kind is BottleneckKind.NONE else scores[kind] - 1.0
    return 0.5 + 0.45 * min(1.0, max(0.0, beyond) / 0.5)


def _recent_utilization(snapshot: Snapshot, now: float) -> float:
    """Return the larger of the use now and over five minutes: neither a pause nor a start makes a target underused."""
    signals = (Signal.BUSY_RATIO, Signal.GPU_UTILIZATION_RATIO, Signal.KV_CACHE_USED_RATIO)
    found = (pods.recent(snapshot, signal) for signal in signals)
    return max([now, *(value for value in found if value is not None)])


def _memory_score(snapshot: Snapshot, policy: OptimizationPolicy) -> float:
    used = pods.total(snapshot, Signal.GPU_MEMORY_USED_RATIO)
    objectives = policy.spec.objectives
    own = objectives.gpu_memory_ratio if objectives else None
    preallocated = not isinstance(snapshot.target, TargetProblem) and snapshot.target.runtime == "vllm"
    if used is None or (own is None and preallocated):
        return 0.0
    limit = parse_ratio(own.max) if own else MEMORY_LIMIT
    return used / max(limit, 0.01)


def _wait(snapshot: Snapshot) -> tuple[float, float, int] | None:
    """Return p95 of waiting, p95 of the whole request (seconds), and the requests behind them.

    A p95 below the first bucket counts as nothing; one above the last as the last bound.
    """
    waited = pods.requests(snapshot.distributions.get(Signal.QUEUE_SECONDS), snapshot)
    whole = pods.requests(snapshot.distributions.get(Signal.LATENCY_SECONDS), snapshot)
    if waited is None or whole is None or histogram.count(whole) < load.MIN_REQUESTS:
        return None
    found = [histogram.percentile(buckets, 95.0) for buckets in (waited, whole)]
    wait, latency = (
        0.0 if each.outside == "first" else each.bound_seconds if each.seconds is None else each.seconds
        for each in found
    )
    return wait, latency, int(histogram.count(whole))


def _queue_score(snapshot: Snapshot, utilization: float, wait: tuple[float, float, int] | None) -> float:
    replicas = max(1, len(pods.serving(snapshot)))
    offered = pods.total(snapshot, Signal.REQUESTS_PER_SECOND) or 0.0
    refused = pods.total(snapshot, Signal.REJECTED_PER_SECOND) or 0.0
    refused_share = refused / offered if offered else 0.0
    pressure = max(
        utilization / PRESSURE_UTILIZATION,
        (backlog_requests(snapshot) or 0.0) / replicas / PRESSURE_BACKLOG,
        refused_share / PRESSURE_REFUSED,
    )
    if wait is None or wait[1] <= 0.0:
        return refused_share / PRESSURE_REFUSED
    return max(refused_share / PRESSURE_REFUSED, min(wait[0] / wait[1] / WAIT_SHARE, pressure))


def _evidence(
    snapshot: Snapshot, used: dict[Signal, float], wait: tuple[float, float, int] | None
) -> tuple[Evidence, ...]:
    facts = [
        pods.evidence(snapshot, signal, value) for signal, value in used.items() if signal is not Signal.QUEUE_REQUESTS
    ]
    if wait is not None:
        facts.append(_percentile(snapshot, Signal.QUEUE_SECONDS, wait[0], wait[2]))
        facts.append(_percentile(snapshot, Signal.LATENCY_SECONDS, wait[1], wait[2]))
    for signal in (Signal.QUEUE_REQUESTS, Signal.REJECTED_PER_SECOND, Signal.GPU_MEMORY_USED_RATIO):
        value = pods.total(snapshot, signal)
        if value is not None:
            facts.append(pods.evidence(snapshot, signal, value))
    return tuple(facts)


def _percentile(snapshot: Snapshot, signal: Signal, seconds: float, samples: int) -> Evidence:
    distribution = snapshot.distributions[signal]
    return Evidence(
        signal=signal,
        query=f"histogram_quantile(0.95, {distribution.query})",
        value=seconds,
        unit="s",
        at=distribution.at or snapshot.now,
        samples=samples,
    )
