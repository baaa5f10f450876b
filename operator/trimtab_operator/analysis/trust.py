"""May this snapshot be acted upon? Each signal that the scaling law rests on must be fresh, complete and plausible.

The first check that fails gives the reason. A pod that has served for less than three scrape intervals, or than one
window of a rate, is excused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from trimtab_api.conditions import MetricsTrustedReason as Reason
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.quantities import parse_duration_seconds
from trimtab_operator.analysis import lookback, pods
from trimtab_operator.analysis.attainment import LATENCIES, latency_rules
from trimtab_operator.analysis.seen import Seen
from trimtab_operator.model import histogram, series
from trimtab_operator.model.analysis import Trust
from trimtab_operator.model.ledger import last_change_at
from trimtab_operator.model.signals import Distribution, Reading, Signal, SignalState
from trimtab_operator.model.snapshot import Pod, Snapshot, Target, TargetProblem
from trimtab_operator.runtimes.select import RUNTIMES

DEFAULT_SCRAPE_SECONDS = 15.0  # the usual interval, until the spacing of samples is known
FRESH_INTERVALS = 3.0
SLOT_SECONDS = 5.0  # answers are shared by all policies within a slot, so a sample may be that much older
LEAST_FRESH_SECONDS = 20.0
WINDOW_INTERVALS = 4.0
INERT_LOAD_RATIO = 2.0
INERT_MOVE_RATIO = 1.1
INERT_MIN_RPS = 0.5
RATIO_CEILING = 1.5  # a batch that ends inside a window brings its whole time with it

_CEILINGS = {
    Signal.BUSY_RATIO: RATIO_CEILING,
    Signal.GPU_UTILIZATION_RATIO: RATIO_CEILING,
    Signal.KV_CACHE_USED_RATIO: 1.01,
}


def trust(seen: Seen) -> Trust:
    """Judge the snapshot; a snapshot without a target is not trusted."""
    snapshot = seen.snapshot
    if isinstance(snapshot.target, TargetProblem):
        return Trust(False, Reason.NO_DATA, f"no target to measure: {snapshot.target.message}")
    if not snapshot.target.ready_pods:
        return Trust(False, Reason.COLLECTING, "no pod of the target is ready: there is nothing to measure yet")
    for source in _needed(seen):
        problem = _problem(source, snapshot, snapshot.target)
        if problem is not None:
            return problem
    first_bucket = _first_bucket(seen)
    if first_bucket is not None:
        return first_bucket
    if inert(snapshot, seen.policy):
        message = "the load varied at least twofold over the observation window, but utilization did not follow it"
        return Trust(True, Reason.INERT, f"{message}: check that the metrics belong to the pods that serve")
    return Trust(True, Reason.FRESH, "every signal that scaling rests on is fresh, complete and plausible")


def needed_signals(snapshot: Snapshot, policy: OptimizationPolicy) -> tuple[Signal, ...]:
    """Return the signals without which nothing may be done: load, queue, use of the device, asked-for latencies."""
    if isinstance(snapshot.target, TargetProblem):
        return ()
    known = RUNTIMES.get(snapshot.target.runtime)
    wanted = [Signal.REQUESTS_PER_SECOND, Signal.QUEUE_REQUESTS, Signal.BUSY_RATIO, *(known.fullness if known else ())]
    objectives = policy.spec.objectives
    if objectives and (objectives.latency or objectives.satisfaction_ratio):
        wanted.append(Signal.LATENCY_SECONDS)
    needed = [signal for signal in wanted if known and signal in known.queries]
    by_devices = known is None or not known.fullness
    if by_devices and snapshot.gpu_source != "none" and any(pod.gpus for pod in snapshot.target.ready_pods):
        needed.append(Signal.GPU_UTILIZATION_RATIO)
    return tuple(needed) or (Signal.CPU_USED_CORES,)


def interval_seconds(snapshot: Snapshot) -> float:
    """Return the scrape interval; the usual one until the spacing of samples is known."""
    return snapshot.scrape_interval_seconds or DEFAULT_SCRAPE_SECONDS


def _needed(seen: Seen) -> Iterator[Reading | Distribution]:
    for signal in needed_signals(seen.snapshot, seen.policy):
        table = seen.snapshot.distributions if signal is Signal.LATENCY_SECONDS else seen.snapshot.readings
        source = table.get(signal)
        yield source or Reading(signal, SignalState.NO_DATA, "", 0.0, message=f"{signal} was not read")


def _problem(source: Reading | Distribution, snapshot: Snapshot, target: Target) -> Trust | None:
    """Run the checks of one signal in order: answered, labelled, fresh, complete, wide enough, plausible."""
    interval = interval_seconds(snapshot)
    return (
        _unanswered(source, snapshot, target, interval)
        or _stale(source, interval, snapshot.now)
        or _incomplete(source, target, interval, snapshot.now)
        or _narrow(source, interval)
        or _implausible(source)
    )


def _unanswered(source: Reading | Distribution, snapshot: Snapshot, target: Target, interval: float) -> Trust | None:
    if source.state is SignalState.ERROR:
        return Trust(False, Reason.QUERY_FAILED, f"Prometheus did not answer for {source.signal}: {source.message}")
    strangers = bool(source.by_pod) and not set(source.by_pod) & {pod.name for pod in target.pods}
    if strangers or source.message.startswith(Reason.LABEL_MISMATCH):
        detail = source.message or f"its samples name other pods, such as {min(source.by_pod)}"
        return Trust(
            False,
            Reason.LABEL_MISMATCH,
            f"{source.signal} has samples, but none of the target's pods: {detail}; set labels.namespace, labels.pod",
        )
    if not source.by_pod and source.state is not SignalState.STALE:
        if all(_young(pod, source, snapshot.now, interval) for pod in target.ready_pods):
            return Trust(False, Reason.COLLECTING, f"the pods are new: waiting for samples of {source.signal}")
        metric = pods.metric(snapshot, source.signal)
        return Trust(False, Reason.NO_DATA, source.message or f"no samples of {metric} for the target's pods")
    return None


def _young(pod: Pod, source: Reading | Distribution, now: float, interval: float) -> bool:
    grace = max(FRESH_INTERVALS * interval, source.window_seconds + interval)
    return pod.ready_at is not None and now - pod.ready_at < grace


def _stale(source: Reading | Distribution, interval: float, now: float) -> Trust | None:
    bound = max(FRESH_INTERVALS * interval + SLOT_SECONDS, LEAST_FRESH_SECONDS)
    old = source.at is not None and now - source.at > bound
    if source.state is not SignalState.STALE and not old:
        return None
    age = "of unknown age" if source.at is None else f"{now - source.at:.0f} s old"
    return Trust(False, Reason.STALE, f"the newest sample of {source.signal} is {age}; {bound:.0f} s are accepted")


def _incomplete(source: Reading | Distribution, target: Target, interval: float, now: float) -> Trust | None:
    absent = [pod for pod in target.ready_pods if pod.name not in source.by_pod]
    missing = [pod.name for pod in absent if not _young(pod, source, now, interval)]
    if missing:
        shown = ", ".join(sorted(missing)[:3])
        return Trust(False, Reason.PARTIAL, f"{source.signal} is missing for {len(missing)} ready pods: {shown}")
    if source.state is SignalState.PARTIAL and not absent:
        detail = source.message or "Prometheus warned of an incomplete answer"
        return Trust(False, Reason.PARTIAL, f"{source.signal}: {detail}")
    return None


def _narrow(source: Reading | Distribution, interval: float) -> Trust | None:
    rate = isinstance(source, Distribution) or pods.QUERIES[source.signal].kind != "gauge"
    needed = WINDOW_INTERVALS * interval
    if not rate or source.window_seconds >= needed * 0.999:
        return None
    message = f"{source.signal} spans {source.window_seconds:g} s; {needed:g} s (4 scrape intervals) are needed"
    return Trust(False, Reason.COLLECTING, message)


def _implausible(source: Reading | Distribution) -> Trust | None:
    if isinstance(source, Distribution):
        numbers = {name: buckets.cumulative[-1] for name, buckets in source.by_pod.items()}
    else:
        numbers = source.by_pod
    ceiling = _CEILINGS.get(source.signal, math.inf)
    for name, value in sorted(numbers.items()):
        if not math.isfinite(value) or value < 0.0 or value > ceiling:
            message = f"{source.signal} of pod {name} is {value:g}, which cannot be"
            return Trust(False, Reason.IMPLAUSIBLE, message)
    return None


def _first_bucket(seen: Seen) -> Trust | None:
    """Refuse a latency objective that its histogram cannot resolve: it would always look met."""
    for name, rule in latency_rules(seen.policy.spec.objectives):
        buckets = seen.merged.get(LATENCIES[name])
        if buckets is None:
            continue
        bound, limit = buckets.bounds_seconds[0], parse_duration_seconds(rule.max)
        if limit < bound and histogram.percentile(buckets, rule.percentile).outside == "first":
            metric = pods.metric(seen.snapshot, LATENCIES[name])
            message = f"p{rule.percentile} lies below {bound:g} s, the first bucket of {metric}"
            return Trust(False, Reason.FIRST_BUCKET, f"{message}: {name}.max {rule.max} cannot be judged by it")
    return None


def inert(snapshot: Snapshot, policy: OptimizationPolicy) -> bool:
    """Say whether load varied twofold over the whole window while nothing changed and utilization stood still."""
    start = snapshot.now - lookback.window_seconds(policy)
    load = snapshot.history.get(Signal.REQUESTS_PER_SECOND)
    changed = last_change_at(policy.status)
    if not series.covers(load, start, snapshot.now) or (changed is not None and changed >= start):
        return False
    offered = series.usual_range(series.points_since(load, start))
    if offered[0] < INERT_MIN_RPS or offered[1] < INERT_LOAD_RATIO * offered[0]:
        return False
    used = [
        series.usual_range(series.points_since(snapshot.history.get(signal), start))
        for signal in (Signal.BUSY_RATIO, Signal.GPU_UTILIZATION_RATIO, Signal.CPU_USED_CORES)
    ]
    known = [(low, high) for low, high in used if not math.isnan(low)]
    return bool(known) and all(high <= INERT_MOVE_RATIO * low for low, high in known)
