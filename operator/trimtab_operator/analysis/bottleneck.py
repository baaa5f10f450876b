"""What limits the target now: the first of the rules of `limits` that holds, else None.

The kind that stands in status stays while most of its rule holds (`RELEASE`: 0.6 for Compute, 0.4 for Underused),
unless one before it holds clearly (`CHALLENGE`): noise at a border writes nothing. The runner-up is what would be named
if the first were not there, or else what is nearest to its rule.

Confidence is 0.5 at the border and 0.95 from a quarter beyond it, where a device is full. Another part of the hardware
that is as full takes confidence away, as does a GPU whose parts are not told apart. Where passes through the model
limit, the parts are the costliest kinds of layers, if an engine has profiled them. Where the replicas are pipelines,
the rules read the stage that limits (`stages`), and it is named where a part of its GPUs is what limits.
"""

from __future__ import annotations

from collections.abc import Iterator

from trimtab_api.findings import BottleneckKind
from trimtab_api.policy import OptimizationPolicy
from trimtab_operator.analysis import pods
from trimtab_operator.analysis.limits import Limit, Rank, Wait, limits, wait
from trimtab_operator.analysis.quality import on_gpu
from trimtab_operator.analysis.seen import Seen
from trimtab_operator.analysis.stages import at_stage, limiting_stage
from trimtab_operator.analysis.use import Use, use_of
from trimtab_operator.model.analysis import Bottleneck, Evidence
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot

RELEASE = {BottleneckKind.GPU_MEMORY: 0.98}
USUAL_RELEASE = 0.75
CHALLENGE = {BottleneckKind.GPU_MEMORY: 1.0, BottleneckKind.QUEUE: 4.0 / 3.0}
USUAL_CHALLENGE = 1.1
RUNNER_UP_SCORE = 0.5
UNTOLD_CONFIDENCE = 0.75
"""The most that is said where the tensor pipes and the memory of a GPU are not told apart."""
LEAST_PART, MOST_PARTS = 0.05, 5
_OF_GPUS = (BottleneckKind.COMPUTE, BottleneckKind.MEMORY_BANDWIDTH, BottleneckKind.POWER_THROTTLE)
_OF_PASSES = (BottleneckKind.QUEUE, *_OF_GPUS)
"""The kinds that a faster pass through the model would relieve."""
_AMOUNTS = (Signal.QUEUE_REQUESTS, Signal.CPU_USED_CORES)
"""Signals whose own unit is shown, though the rules reckon with a share of them."""


def bottleneck(seen: Seen, use: Use) -> Bottleneck | None:
    """Find what limits the target; None where the use of its devices is not known."""
    snapshot, waited = seen.snapshot, wait(seen)
    stage = limiting_stage(snapshot, seen.policy)
    if stage is not None:
        snapshot = at_stage(snapshot, stage)
        use = use_of(snapshot)
    used = use.every
    if not used:
        return None
    every = limits(snapshot, seen.policy, use, waited)
    first = _first(every, seen.policy)
    kind = first.kind if first else BottleneckKind.NONE
    others = [each for each in every if each is not first]
    second = _runner_up(others)
    order = [each for each in (first, second) if each] + others
    return Bottleneck(
        kind=kind,
        confidence=_confidence(snapshot, first, others),
        evidence=tuple(_evidence(snapshot, order, used, waited)),
        runner_up=second.kind if second else None,
        parts=_parts(snapshot) if _limits_passes(snapshot, kind) else (),
        stage=stage if kind in _OF_GPUS else None,
    )


def _first(every: tuple[Limit, ...], policy: OptimizationPolicy) -> Limit | None:
    stored = policy.status.bottleneck
    standing = next((each for each in every if stored and each.kind is stored.kind), None)
    if standing is None or standing.score < RELEASE.get(standing.kind, USUAL_RELEASE):
        return next((each for each in every if each.score >= 1.0), None)
    before = every[: every.index(standing)]
    return next((each for each in before if _challenges(each, standing)), standing)


def _challenges(each: Limit, standing: Limit) -> bool:
    border = CHALLENGE.get(each.kind, USUAL_CHALLENGE)
    return each.score >= (border * max(1.0, standing.score) if each.rank is standing.rank else border)


def _runner_up(others: list[Limit]) -> Limit | None:
    holding = next((each for each in others if each.score >= 1.0), None)
    nearest = max(others, key=lambda each: each.score)
    return holding or (nearest if nearest.score >= RUNNER_UP_SCORE else None)


def _confidence(snapshot: Snapshot, first: Limit | None, others: list[Limit]) -> float:
    if first is None:
        return min(_sure(1.0, each.score, each.sure) for each in others)
    rivals = [each for each in others if Rank.MEMORY < each.rank < first.rank]
    found = min([_sure(first.score, 1.0, first.sure), *(_sure(1.0, each.score, each.sure) for each in rivals)])
    beside = [each for each in others if each.rank is first.rank]
    found = min([found, *(_sure(first.score, each.score, first.sure) for each in beside)])
    told = any(each.kind is BottleneckKind.MEMORY_BANDWIDTH for each in others)
    untold = Rank.HARDWARE < first.rank < Rank.IDLE and on_gpu(snapshot) and not told
    return min(UNTOLD_CONFIDENCE, found) if untold or (first.rank is Rank.DEVICE and on_gpu(snapshot)) else found


def _sure(larger: float, smaller: float, sure: float) -> float:
    """Return 0.5 where both are equal, and 0.95 where one is so many times the other that it is sure."""
    times = larger / max(smaller, 0.01)
    return 0.5 + 0.45 * min(1.0, max(0.0, times - 1.0) / (sure - 1.0))


def _limits_passes(snapshot: Snapshot, kind: BottleneckKind) -> bool:
    return kind in _OF_PASSES or (kind is BottleneckKind.CPU and not on_gpu(snapshot))


def _parts(snapshot: Snapshot) -> tuple[tuple[str, float], ...]:
    """Return the kinds of layers that take a twentieth of a pass or more, the largest first."""
    large = [(kind, share) for kind, share in snapshot.layer_time.items() if share >= LEAST_PART]
    return tuple(sorted(large, key=lambda part: (-part[1], part[0]))[:MOST_PARTS])


def _evidence(
    snapshot: Snapshot, order: list[Limit], used: dict[Signal, float], waited: Wait | None
) -> Iterator[Evidence]:
    """Yield every known fact once, those of the first kind first."""
    for signal in dict.fromkeys(signal for each in order for signal in each.signals):
        if signal in (Signal.QUEUE_SECONDS, Signal.LATENCY_SECONDS):
            if waited is not None:
                yield _percentile(snapshot, signal, waited)
            continue
        value = used[signal] if signal in used and signal not in _AMOUNTS else pods.total(snapshot, signal)
        if value is not None:
            yield pods.evidence(snapshot, signal, value)


def _percentile(snapshot: Snapshot, signal: Signal, waited: Wait) -> Evidence:
    distribution = snapshot.distributions[signal]
    return Evidence(
        signal=signal,
        query=f"histogram_quantile(0.95, {distribution.query})",
        value=waited.wait_seconds if signal is Signal.QUEUE_SECONDS else waited.latency_seconds,
        unit="s",
        at=distribution.at or snapshot.now,
        samples=waited.requests,
    )
