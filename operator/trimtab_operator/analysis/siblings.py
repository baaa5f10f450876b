"""Which replica is worse than its siblings: on a bad node, or with a sick device.

A replica with less load runs smaller batches, and one with more lets requests wait longer; neither is worse. So both
must stand out: the busy time of an answer and the median latency, by the robust z score (Iglewicz and Hoaglin, How to
Detect and Handle Outliers, 1993: 0.6745 x distance from the median over the median distance, beyond 3.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from trimtab_api.policy import OptimizationPolicy
from trimtab_operator.analysis import pods
from trimtab_operator.model import histogram
from trimtab_operator.model.analysis import Constraint, WorseReplica
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Pod, Snapshot, TargetProblem

CONSTRAINT = "WorseReplica"
OUTLIER_SCORE, OUTLIER_RATIO = 3.5, 1.3
STANDING_SCORE, STANDING_RATIO = 2.5, 1.15  # for one that was named before: noise at the border writes nothing
FEWEST_SIBLINGS = 3
WARM_SECONDS = 600.0  # caches fill up, code is compiled
FEWEST_ANSWERS = 100.0
LEAST_SPREAD = 0.05  # of the median: replicas that agree better than that do so by chance

_SCALE = 0.6745


def worse_replicas(snapshot: Snapshot, policy: OptimizationPolicy) -> tuple[WorseReplica, ...]:
    """Return the replicas that stand out, by name; pods that are given another setting just now are no siblings."""
    if isinstance(snapshot.target, TargetProblem):
        return ()
    tried = policy.status.tuning.change.pods if policy.status.tuning and policy.status.tuning.change else ()
    warm = [pod for pod in snapshot.target.ready_pods if pod.uid not in tried and _warm(pod, snapshot.now)]
    costs, delays = _costs(snapshot, warm), _delays(snapshot, warm)
    both = sorted(costs.keys() & delays.keys())
    if len(both) < FEWEST_SIBLINGS:
        return ()
    scored = {name: _least(name, both, (costs, delays)) for name in both}
    standing = any(each.name == CONSTRAINT for each in policy.status.constraints)
    score, ratio = (STANDING_SCORE, STANDING_RATIO) if standing else (OUTLIER_SCORE, OUTLIER_RATIO)
    return tuple(WorseReplica(name, times, z) for name, (times, z) in scored.items() if times >= ratio and z >= score)


def sibling_constraints(worse: tuple[WorseReplica, ...]) -> tuple[Constraint, ...]:
    """Name them for a person; none where there is none."""
    if not worse:
        return ()
    names = ", ".join(f"{each.pod} ({each.ratio:.1f} times theirs, z {each.score:.1f})" for each in worse)
    advice = "they take part in no trial: look at their nodes and devices"
    return (
        Constraint(CONSTRAINT, f"pods that take longer for an answer than their siblings: {names}; {advice}"[:1024]),
    )


def _warm(pod: Pod, now: float) -> bool:
    return pod.ready_at is None or now - pod.ready_at >= WARM_SECONDS


def _costs(snapshot: Snapshot, among: list[Pod]) -> dict[str, float]:
    """Return the busy seconds of an answer by pod, where enough were given."""
    busy, offered = (pods.values(snapshot, each) for each in (Signal.BUSY_RATIO, Signal.REQUESTS_PER_SECOND))
    failed = pods.values(snapshot, Signal.ERRORS_PER_SECOND)
    reading = snapshot.readings.get(Signal.REQUESTS_PER_SECOND)
    window = 0.0 if reading is None else reading.window_seconds
    good = {pod.name: offered.get(pod.name, 0.0) - failed.get(pod.name, 0.0) for pod in among}
    return {name: busy[name] / rate for name, rate in good.items() if name in busy and rate * window >= FEWEST_ANSWERS}


def _delays(snapshot: Snapshot, among: list[Pod]) -> dict[str, float]:
    """Return the median latency by pod, where the histogram resolves it."""
    found = snapshot.distributions.get(Signal.LATENCY_SECONDS)
    parts = {} if found is None else found.by_pod
    known = {pod.name: parts[pod.name] for pod in among if pod.name in parts and histogram.count(parts[pod.name]) > 0.0}
    medians = {name: histogram.percentile(each, 50).seconds for name, each in known.items()}
    return {name: seconds for name, seconds in medians.items() if seconds is not None}


def _least(name: str, among: list[str], measures: tuple[Mapping[str, float], ...]) -> tuple[float, float]:
    """Return by how many times a pod exceeds its siblings, and its score: the least of all measures."""
    judged = [_outlying(measure[name], [measure[each] for each in among]) for measure in measures]
    return min(times for times, _ in judged), min(score for _, score in judged)


def _outlying(value: float, every: list[float]) -> tuple[float, float]:
    middle = median(every)
    if middle <= 0.0:
        return 0.0, 0.0
    spread = max(median(abs(each - middle) for each in every), LEAST_SPREAD * middle)
    return value / middle, _SCALE * (value - middle) / spread
