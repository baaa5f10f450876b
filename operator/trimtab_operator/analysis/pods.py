"""From readings by pod to one value for the target, with its evidence.

Only pods that serve count, and only numbers: what is not finite counts as not answered (trust names it). A pod that has
served for less than one window is left out where others have served longer: its rates still hold its start-up.
"""

from __future__ import annotations

import math

from trimtab_operator.model.analysis import Evidence
from trimtab_operator.model.histogram import count, merge
from trimtab_operator.model.series import mean, points_since
from trimtab_operator.model.signals import LARGEST, Buckets, Distribution, Signal, SignalState
from trimtab_operator.model.snapshot import Pod, Snapshot, Target, TargetProblem
from trimtab_operator.runtimes.containers import CONTAINER_QUERIES
from trimtab_operator.runtimes.gpu import GPU_QUERIES
from trimtab_operator.runtimes.select import RUNTIMES, queries_for
from trimtab_operator.runtimes.table import Query

RECENT_SECONDS = 300.0  # what a person means by "now" on a scorecard; short windows of few requests would flicker
_USABLE = (SignalState.OK, SignalState.PARTIAL)

QUERIES: dict[Signal, Query] = {
    query.signal: query
    for table in (
        *(tuple(runtime.queries.values()) for runtime in RUNTIMES.values()),
        CONTAINER_QUERIES,
        *GPU_QUERIES.values(),
    )
    for query in table
}
"""Unit and way of combining of every signal; the same for all runtimes."""


def metric(snapshot: Snapshot, signal: Signal) -> str:
    """Return the name of the metric that a signal of this target is read from, for a person to look for."""
    runtime = "" if isinstance(snapshot.target, TargetProblem) else snapshot.target.runtime
    own = (query for query in queries_for(runtime, snapshot.gpu_source) if query.signal is signal)
    return next(own, QUERIES[signal]).needs[0]


def is_number(value: float) -> bool:
    """Say whether a value can be reckoned with: finite, and below what anything here could ever be."""
    return -LARGEST <= value <= LARGEST


def _are_numbers(values: tuple[float, ...]) -> bool:
    """Say the same of all of them: one that is not finite leaves no finite sum."""
    return math.isfinite(sum(values)) and is_number(min(values, default=0.0)) and is_number(max(values, default=0.0))


def serving(snapshot: Snapshot) -> tuple[Pod, ...]:
    """Return the pods that serve; none without a target."""
    return () if isinstance(snapshot.target, TargetProblem) else snapshot.target.ready_pods


def seasoned(target: Target, now: float, window_seconds: float) -> tuple[Pod, ...]:
    """Return the serving pods that have served for a whole window; all serving pods if none has."""
    old = tuple(pod for pod in target.ready_pods if pod.ready_at is None or now - pod.ready_at >= window_seconds)
    return old or target.ready_pods


def values(snapshot: Snapshot, signal: Signal) -> dict[str, float]:
    """Return a signal's values of the seasoned pods that answered."""
    reading = snapshot.readings.get(signal)
    if reading is None or reading.state not in _USABLE or isinstance(snapshot.target, TargetProblem):
        return {}
    names = {pod.name for pod in seasoned(snapshot.target, snapshot.now, reading.window_seconds)}
    return {name: value for name, value in reading.by_pod.items() if name in names and is_number(value)}


def total(snapshot: Snapshot, signal: Signal) -> float | None:
    """Combine a signal over the serving pods that answered as its nature says; None without data."""
    reading = snapshot.readings.get(signal)
    if reading is None or reading.state not in _USABLE:
        return None
    names = {pod.name for pod in serving(snapshot)}
    found = [value for name, value in reading.by_pod.items() if name in names and is_number(value)]
    return QUERIES[signal].over_pods(found) if found else None


def recent(snapshot: Snapshot, signal: Signal) -> float | None:
    """Return a signal's mean over the last five minutes, or its reading where there is no series."""
    from_series = mean(points_since(snapshot.history.get(signal), snapshot.now - RECENT_SECONDS))
    return total(snapshot, signal) if from_series is None else from_series


def evidence(snapshot: Snapshot, signal: Signal, value: float, samples: int | None = None) -> Evidence:
    """State a value with the query that gave it, its unit and time."""
    source = snapshot.readings.get(signal) or snapshot.distributions.get(signal)
    return Evidence(
        signal=signal,
        query=source.query if source else "",
        value=value,
        unit=QUERIES[signal].unit,
        at=(source.at if source else None) or snapshot.now,
        samples=samples,
    )


def requests(distribution: Distribution | None, snapshot: Snapshot) -> Buckets | None:
    """Merge a histogram over the serving pods; None without data or without requests."""
    if distribution is None or distribution.state not in _USABLE:
        return None
    names = {pod.name for pod in serving(snapshot)}
    merged = merge(
        buckets for name, buckets in distribution.by_pod.items() if name in names and _are_numbers(buckets.cumulative)
    )
    return merged if merged is not None and count(merged) > 0 else None
