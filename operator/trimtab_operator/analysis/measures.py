"""How each row of the scorecard is measured: a value with its noise and sample count, or the reason for none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trimtab_api.quantities import parse_duration_seconds
from trimtab_operator.analysis import attainment, load, pods
from trimtab_operator.analysis.attainment import missing
from trimtab_operator.analysis.durations import apdex, percentile_noise
from trimtab_operator.analysis.judgement import counting_noise
from trimtab_operator.analysis.seen import Seen
from trimtab_operator.model import histogram
from trimtab_operator.model.signals import Signal


@dataclass(frozen=True)
class Measured:
    """A value with its noise and the requests behind it; or None with the reason."""

    value: float | None
    reason: str = ""
    samples: float | None = None
    noise: float = 0.0


def of_signal(signal: Signal) -> Callable[[Seen], Measured]:
    """Measure a signal as it is."""

    def take(seen: Seen) -> Measured:
        value = pods.recent(seen.snapshot, signal)
        requests = seen.recent_requests
        return Measured(value, "" if value is not None else missing(seen, signal), requests, counting_noise(requests))

    return take


def p95(signal: Signal) -> Callable[[Seen], Measured]:
    """Measure the p95 of a histogram, where it resolves one."""

    def take(seen: Seen) -> Measured:
        buckets = seen.merged.get(signal)
        if buckets is None:
            return Measured(None, missing(seen, signal))
        samples = histogram.count(buckets)
        found = histogram.percentile(buckets, 95.0)
        if samples < load.MIN_REQUESTS:
            return Measured(None, f"{samples:.0f} requests in the window; {load.MIN_REQUESTS} are needed", samples)
        if found.seconds is None:
            side = "below the first" if found.outside == "first" else "above the last"
            return Measured(None, f"p95 lies {side} bucket bound, {found.bound_seconds:g} s", samples)
        return Measured(found.seconds, "", samples, percentile_noise(buckets, 95.0, found))

    return take


def throughput(seen: Seen) -> Measured:
    """Measure good answers per hour."""
    served = load.served_rps(seen.snapshot)
    requests = seen.recent_requests
    if served is None:
        return Measured(None, missing(seen, Signal.REQUESTS_PER_SECOND))
    return Measured(served * 3600.0, "", requests, counting_noise(requests))


def errors(seen: Seen) -> Measured:
    """Measure failed and refused requests over all."""
    offered = pods.recent(seen.snapshot, Signal.REQUESTS_PER_SECOND)
    failed = pods.recent(seen.snapshot, Signal.ERRORS_PER_SECOND)
    requests = seen.recent_requests
    if offered is None or failed is None or requests is None:
        return Measured(None, missing(seen, Signal.ERRORS_PER_SECOND))
    if requests < load.MIN_REQUESTS:
        return Measured(None, f"{requests:.0f} requests; {load.MIN_REQUESTS} are needed", requests)
    share = min(1.0, max(0.0, failed / offered))
    return Measured(share, "", requests, counting_noise(share * requests))


def accuracy(seen: Seen) -> Measured:
    """Measure the agreement with the unmodified model; its noise is in the bound already."""
    return Measured(*attainment.accuracy(seen))


def satisfaction(seen: Seen) -> Measured:
    """Measure the Apdex score."""
    objectives = seen.policy.spec.objectives
    own = objectives.satisfaction_ratio if objectives else None
    within = parse_duration_seconds(own.satisfied_within) if own else 0.2
    buckets = seen.merged.get(Signal.LATENCY_SECONDS)
    if buckets is None:
        return Measured(None, missing(seen, Signal.LATENCY_SECONDS))
    samples = histogram.count(buckets)
    if samples < load.MIN_REQUESTS:
        return Measured(None, f"{samples:.0f} requests in the window; {load.MIN_REQUESTS} are needed", samples)
    return Measured(
        min(1.0, apdex(buckets, within)), f"satisfied within {within:g} s", samples, counting_noise(samples)
    )


def energy(seen: Seen) -> Measured:
    """Measure GPU joules for each good answer."""
    joules = load.joules_per_request(seen.snapshot)
    requests = seen.recent_requests
    if joules is None:
        watts = pods.recent(seen.snapshot, Signal.GPU_POWER_WATTS)
        return Measured(None, missing(seen, Signal.GPU_POWER_WATTS) if watts is None else "no request was answered")
    return Measured(joules, "no reference: only its trend counts", requests, counting_noise(requests))


def cost(seen: Seen) -> Measured:
    """Measure what one good answer costs."""
    if seen.policy.spec.cost is None:
        return Measured(None, "no prices: set spec.cost.perGpuHour or spec.cost.perCpuHour")
    requests, price = seen.recent_requests, load.cost_per_request(seen.snapshot, seen.policy)
    if requests is None or requests < load.MIN_REQUESTS:
        return Measured(None, f"{requests or 0.0:.0f} requests; {load.MIN_REQUESTS} are needed", requests)
    if price is None:
        return Measured(None, "spec.cost prices a resource whose amount in the pods is not known", requests)
    return Measured(price, "", requests, counting_noise(requests))


def scarcest(seen: Seen) -> Measured:
    """Return used over requested of the scarcest of GPU, CPU and memory."""
    snapshot = seen.snapshot
    known = {
        "GPU": pods.recent(snapshot, Signal.GPU_UTILIZATION_RATIO),
        "CPU": load.cpu_ratio(snapshot),
        "memory": load.memory_ratio(snapshot),
    }
    used = {name: value for name, value in known.items() if value is not None}
    if not used:
        return Measured(None, missing(seen, Signal.CPU_USED_CORES))
    name = max(used, key=lambda each: used[each])
    return Measured(used[name], name, None, counting_noise(seen.recent_requests))


def nothing(reason: str) -> Callable[[Seen], Measured]:
    """Measure nothing, for this reason."""
    return lambda _: Measured(None, reason)
