"""Memory that grows while the load stands still: a leak is suspected, with what was measured.

Suspected where, over a whole observation window in which nothing was changed and no pod is younger:
the load is steady (its 90 % point at most a quarter above its 10 % point); the medians of memory over the four quarters
of the window rise one after another, by a twentieth or more; and the last rise is at least half of the first (a cache
that fills up levels off). vLLM takes its share of GPU memory at its start and keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from trimtab_api.policy import OptimizationPolicy
from trimtab_operator.analysis import load, lookback, pods
from trimtab_operator.model import series
from trimtab_operator.model.analysis import Constraint
from trimtab_operator.model.ledger import last_change_at
from trimtab_operator.model.signals import Series, Signal
from trimtab_operator.model.snapshot import Snapshot, TargetProblem

CONSTRAINT = "MemoryLeakSuspected"
STEADY_LOAD = 1.25
LEAST_GROWTH = 0.05
LEVELS_OFF = 0.5
QUARTERS = 4


def leak_constraints(snapshot: Snapshot, policy: OptimizationPolicy) -> tuple[Constraint, ...]:
    """Name the memories that seem to leak, in one constraint; none where none does."""
    start = snapshot.now - lookback.window_seconds(policy)
    changed = last_change_at(policy.status)
    if not _grown_up(snapshot, start) or (changed is not None and changed >= start) or not _steady(snapshot, start):
        return ()
    found = list(_growing(snapshot, start))
    if not found:
        return ()
    minutes = (snapshot.now - start) / 60.0
    advice = "a leak, or a cache without a bound: look at what the process keeps"
    return (Constraint(CONSTRAINT, f"at a steady load over {minutes:.0f} min {' and '.join(found)}; {advice}"[:1024]),)


def _grown_up(snapshot: Snapshot, start: float) -> bool:
    """Say whether every pod has run for the whole time; one that starts fills its memory."""
    if isinstance(snapshot.target, TargetProblem) or not snapshot.target.ready_pods:
        return False
    return all(max(pod.created_at, pod.started_at or 0.0) <= start for pod in snapshot.target.pods)


def _steady(snapshot: Snapshot, start: float) -> bool:
    offered = snapshot.history.get(Signal.REQUESTS_PER_SECOND)
    low, high = series.usual_range(series.points_since(offered, start))
    return series.covers(offered, start, snapshot.now) and high <= STEADY_LOAD * low


def _growing(snapshot: Snapshot, start: float) -> Iterator[str]:
    preallocated = not isinstance(snapshot.target, TargetProblem) and snapshot.target.runtime == "vllm"
    on_gpu = () if preallocated else (Signal.GPU_MEMORY_USED_RATIO,)
    for signal in (Signal.MEMORY_USED_BYTES, *on_gpu):
        growth = _growth(snapshot.history.get(signal), start, snapshot.now)
        if growth is not None:
            ratio = pods.total(snapshot, signal) if signal in on_gpu else load.memory_ratio(snapshot)
            full = _until_full(ratio, growth, snapshot.now - start)
            yield f"{pods.metric(snapshot, signal)} grew by {growth:.0%}{full}"


def _growth(found: Series | None, start: float, now: float) -> float | None:
    """Return by what share memory grew from the first quarter to the last; None where it did not, or levels off."""
    if not series.covers(found, start, now):
        return None
    points, length = series.points_since(found, start), (now - start) / QUARTERS
    parts = [
        [point.value for point in points if start + number * length <= point.at < start + (number + 1) * length]
        for number in range(QUARTERS)
    ]
    if not all(parts):
        return None
    middles = [median(part) for part in parts]
    rises = [later - earlier for earlier, later in pairwise(middles)]
    if min(rises) <= 0.0 or rises[-1] < LEVELS_OFF * rises[0] or sum(rises) < LEAST_GROWTH * middles[0]:
        return None
    return sum(rises) / middles[0]


def _until_full(used_ratio: float | None, growth: float, window_seconds: float) -> str:
    """Say when the limit is reached at this pace; nothing where there is no limit."""
    if used_ratio is None or used_ratio <= 0.0:
        return ""
    pace = used_ratio * growth / (1.0 + growth) / (window_seconds * (QUARTERS - 1) / QUARTERS)
    return f", and is full in about {max(0.0, 1.0 - used_ratio) / pace / 3600.0:.1f} h at this pace"
