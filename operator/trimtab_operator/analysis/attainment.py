"""Every objective of the policy, measured. Durations are judged by the share of requests over the limit.

Few requests say little about a p95, but much about "at most one in twenty is slower". The percentile itself is shown
beside it where the histogram resolves it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from trimtab_api.objectives import GUARDS, LatencyObjective, ObjectiveName, Objectives, SatisfactionObjective
from trimtab_api.quantities import parse_decimal, parse_duration_seconds, parse_ratio
from trimtab_operator.analysis import load, pods
from trimtab_operator.analysis.durations import apdex, percentile_interval, percentile_noise
from trimtab_operator.analysis.judgement import (
    counting_noise,
    independent,
    judge_share,
    judge_value,
    margin_ratio,
    share_confidence,
    wilson,
)
from trimtab_operator.analysis.quality import runs_unmodified
from trimtab_operator.analysis.seen import Seen
from trimtab_operator.model import histogram
from trimtab_operator.model.analysis import Attainment, ObjectiveResult
from trimtab_operator.model.signals import Signal

GUARD_BAND = 0.02
EFFICIENCY_BAND = 0.05

LATENCIES: dict[ObjectiveName, Signal] = {
    ObjectiveName.LATENCY: Signal.LATENCY_SECONDS,
    ObjectiveName.TIME_TO_FIRST_TOKEN: Signal.TIME_TO_FIRST_TOKEN_SECONDS,
    ObjectiveName.INTER_TOKEN_LATENCY: Signal.INTER_TOKEN_LATENCY_SECONDS,
}


@dataclass(frozen=True)
class Bad:
    """Share of requests that miss an objective, the share that may, and of how many requests (above 0)."""

    share: float
    allowed: float
    samples: float


def attain(seen: Seen) -> tuple[ObjectiveResult, ...]:
    """Measure every objective that the policy has, in the order of the API."""
    objectives = seen.policy.spec.objectives
    if objectives is None:
        return ()
    results: list[ObjectiveResult] = []
    for name in ObjectiveName:
        rule = getattr(objectives, _FIELDS[name])
        if rule is None:
            continue
        if isinstance(rule, LatencyObjective):
            results.append(_duration(seen, name, rule))
        elif isinstance(rule, SatisfactionObjective):
            results.append(_satisfaction(seen, name, rule))
        else:
            results.append(_bounded(seen, name, objectives))
    return tuple(results)


_FIELDS = {ObjectiveName(field.alias or name): name for name, field in Objectives.model_fields.items()}


def latency_rules(objectives: Objectives | None) -> tuple[tuple[ObjectiveName, LatencyObjective], ...]:
    """Return the objectives on durations."""
    found = ((name, getattr(objectives, _FIELDS[name], None)) for name in LATENCIES)
    return tuple((name, rule) for name, rule in found if rule is not None)


def missing(seen: Seen, signal: Signal) -> str:
    """Say why a signal gave nothing, naming the metric to look for."""
    source = seen.distributions.get(signal) or seen.snapshot.readings.get(signal)
    if source is None:
        sources = "dcgm-exporter nor the node agent" if signal.startswith("gpu_") else "the runtime nor the node agent"
        return f"{signal} was not read: neither {sources} reports it for these pods"
    return (
        source.message or f"{pods.metric(seen.snapshot, signal)} has no samples of the target's pods ({source.state})"
    )


def not_measured(name: ObjectiveName, limit: float, reason: str, samples: float | None = None) -> ObjectiveResult:
    """State that an objective was not measured, and why."""
    counted = None if samples is None else int(samples)
    return ObjectiveResult(
        name=name,
        guard=name in GUARDS,
        attainment=Attainment.NOT_MEASURED,
        limit=limit,
        reason=reason,
        samples=counted,
    )


def _few(requests: float) -> str:
    return f"{requests:.0f} requests in the window; {load.MIN_REQUESTS} are needed"


def _duration(seen: Seen, name: ObjectiveName, rule: LatencyObjective) -> ObjectiveResult:
    limit, allowed = parse_duration_seconds(rule.max), 1.0 - rule.percentile / 100.0
    signal = LATENCIES[name]
    buckets = seen.merged.get(signal)
    if buckets is None:
        return not_measured(name, limit, missing(seen, signal))
    samples = histogram.count(buckets)
    if samples < load.MIN_REQUESTS:
        return not_measured(name, limit, _few(samples), samples)
    found = histogram.percentile(buckets, rule.percentile)
    if found.outside == "first" and limit < found.bound_seconds:
        return not_measured(
            name,
            limit,
            f"p{rule.percentile} lies in the first bucket (below {found.bound_seconds:g} s), which cannot tell it from "
            f"{rule.max}: set {name}.max to at least {found.bound_seconds:g}s or give the histogram finer buckets",
            samples,
        )
    share = min(1.0, max(0.0, histogram.share_over(buckets, limit)))
    low, high = percentile_interval(buckets, rule.percentile)
    bad_low, bad_high = wilson(share, independent(samples))
    return replace(
        _judged(seen, name, limit, Bad(share, allowed, samples)),
        value=found.seconds,
        reason=f"{share:.1%} ({bad_low:.1%} to {bad_high:.1%}) of requests over {rule.max}, {allowed:.0%} allowed",
        uncertainty_ratio=percentile_noise(buckets, rule.percentile, found),
        low=low,
        high=high,
        margin_ratio=None if found.seconds is None else margin_ratio(found.seconds, limit, at_most=True),
    )


def _judged(seen: Seen, name: ObjectiveName, limit: float, bad: Bad) -> ObjectiveResult:
    """Judge an objective by its share of bad requests; its value and what goes with it are left to the caller."""
    attainment = judge_share(bad.share, bad.allowed, bad.samples, seen.before(name))
    return ObjectiveResult(
        name=name,
        guard=name in GUARDS,
        attainment=attainment,
        limit=limit,
        samples=int(bad.samples),
        uncertainty_ratio=counting_noise(bad.samples),
        confidence=share_confidence(bad.share, bad.allowed, independent(bad.samples), attainment),
    )


def _satisfaction(seen: Seen, name: ObjectiveName, rule: SatisfactionObjective) -> ObjectiveResult:
    limit = parse_ratio(rule.min)
    buckets = seen.merged.get(Signal.LATENCY_SECONDS)
    if buckets is None:
        return not_measured(name, limit, missing(seen, Signal.LATENCY_SECONDS))
    samples = histogram.count(buckets)
    if samples < load.MIN_REQUESTS:
        return not_measured(name, limit, _few(samples), samples)
    score = min(1.0, apdex(buckets, parse_duration_seconds(rule.satisfied_within)))
    low, high = wilson(score, independent(samples))
    judged = _judged(seen, name, limit, Bad(1.0 - score, 1.0 - limit, samples))
    return replace(judged, value=score, low=low, high=high, margin_ratio=margin_ratio(score, limit, at_most=False))


def _bounded(seen: Seen, name: ObjectiveName, objectives: Objectives) -> ObjectiveResult:
    rule = getattr(objectives, _FIELDS[name])
    at_most = hasattr(rule, "max")
    limit = parse_decimal(rule.max if at_most else rule.min)
    value, reason = measured(seen, name)
    requests = load.requests_in_window(seen.snapshot)
    if value is None:
        return not_measured(name, limit, reason, requests)
    margin = margin_ratio(value, limit, at_most=at_most)
    if name is ObjectiveName.ERROR_RATIO:
        counted = max(1.0, requests or 1.0)
        low, high = wilson(value, independent(counted))
        return replace(
            _judged(seen, name, limit, Bad(value, limit, counted)), value=value, low=low, high=high, margin_ratio=margin
        )
    band = GUARD_BAND if name in GUARDS else EFFICIENCY_BAND
    return ObjectiveResult(
        name=name,
        guard=name in GUARDS,
        attainment=judge_value(value, limit, at_most=at_most, band=band, before=seen.before(name)),
        limit=limit,
        value=value,
        samples=None if requests is None else int(requests),
        uncertainty_ratio=counting_noise(requests),
        margin_ratio=margin,
    )


_GAUGES = {
    ObjectiveName.GPU_MEMORY_RATIO: Signal.GPU_MEMORY_USED_RATIO,
    ObjectiveName.GPU_UTILIZATION_RATIO: Signal.GPU_UTILIZATION_RATIO,
    ObjectiveName.CACHE_HIT_RATIO: Signal.CACHE_HIT_RATIO,
}


def measured(seen: Seen, name: ObjectiveName) -> tuple[float | None, str]:
    """Measure an objective that is one number; else say why not."""
    if name in _GAUGES:
        return _gauge(seen, _GAUGES[name])
    if name is ObjectiveName.ACCURACY_RATIO:
        return accuracy(seen)
    return _OF_REQUESTS[name](seen)


def accuracy(seen: Seen) -> tuple[float | None, str]:
    """Return the agreement of answers with those of the unmodified model: the lower bound of the worst pod.

    The unmodified model agrees with itself by definition: while every engine runs it, that is 1.
    """
    value = pods.total(seen.snapshot, Signal.ACCURACY_RATIO)
    if value is not None:
        return value, "lower bound of the worst pod"
    if runs_unmodified(seen.snapshot):
        return 1.0, "by definition: the unmodified model answers"
    return None, f"no comparison with the unmodified model: {missing(seen, Signal.ACCURACY_RATIO)}"


def error_ratio(seen: Seen) -> tuple[float | None, str]:
    """Return failed and refused requests over all that were offered."""
    offered = pods.total(seen.snapshot, Signal.REQUESTS_PER_SECOND)
    failed = pods.total(seen.snapshot, Signal.ERRORS_PER_SECOND)
    requests = load.requests_in_window(seen.snapshot)
    if offered is None or requests is None:
        return None, missing(seen, Signal.REQUESTS_PER_SECOND)
    if failed is None:
        return None, missing(seen, Signal.ERRORS_PER_SECOND)
    if requests < load.MIN_REQUESTS:
        return None, _few(requests)
    return min(1.0, max(0.0, failed / offered)), ""


def _gauge(seen: Seen, signal: Signal) -> tuple[float | None, str]:
    value = pods.total(seen.snapshot, signal)
    return (None, missing(seen, signal)) if value is None else (value, "")


def _capacity(seen: Seen) -> tuple[float | None, str]:
    capacity = seen.capacity
    if capacity is None or capacity.per_replica_rps is None:
        return None, "the capacity of a replica is not known yet: it is learned from the load that replicas carry"
    return capacity.per_replica_rps * len(pods.serving(seen.snapshot)), ""


def _joules(seen: Seen) -> tuple[float | None, str]:
    return _per_request(seen, load.joules_per_request(seen.snapshot), missing(seen, Signal.GPU_POWER_WATTS))


def _cost(seen: Seen) -> tuple[float | None, str]:
    cost = load.cost_per_request(seen.snapshot, seen.policy)
    reason = "spec.cost prices a resource whose amount in the pods is not known"
    return _per_request(seen, None if cost is None else cost * 1000.0, reason)


def _per_request(seen: Seen, value: float | None, reason: str) -> tuple[float | None, str]:
    requests = load.requests_in_window(seen.snapshot)
    if requests is not None and requests < load.MIN_REQUESTS:
        return None, _few(requests)
    return (None, reason) if value is None else (value, "")


_OF_REQUESTS: dict[ObjectiveName, Callable[[Seen], tuple[float | None, str]]] = {
    ObjectiveName.ERROR_RATIO: error_ratio,
    ObjectiveName.REQUESTS_PER_SECOND: _capacity,
    ObjectiveName.JOULES_PER_REQUEST: _joules,
    ObjectiveName.COST_PER_THOUSAND_REQUESTS: _cost,
}
