"""Answers of Prometheus split by target: readings, distributions, series. Which pods should answer is decided here."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from trimtab_operator.model.signals import Buckets, Distribution, GpuReading, Point, Reading, Series, SignalState
from trimtab_operator.model.snapshot import Pod
from trimtab_operator.observation.feeds import Feed
from trimtab_operator.observation.history import Grid
from trimtab_operator.observation.prometheus import Answer, Row
from trimtab_operator.runtimes.table import Query

LONGEST_NAME = 64
OPTIONAL_SIGNALS = frozenset({"cpu_limit_cores", "memory_limit_bytes"})
"""No row means no limit, not a missing pod."""


@dataclass(frozen=True)
class Scope:
    """What one target's answers are judged by."""

    namespace: str
    target: str
    pods: tuple[Pod, ...]
    now: float
    scrape_interval_seconds: float

    @property
    def stale_after_seconds(self) -> float:
        """A sample older than three scrapes (and a slot) is no longer the present."""
        return max(3 * self.scrape_interval_seconds + 5, 20.0)

    def expected(self, query: Query, window_seconds: float) -> frozenset[str]:
        """Pods that must have a row: serving for long enough that the window holds two scrapes of theirs."""
        if query.kind == "ratio" or query.signal.value in OPTIONAL_SIGNALS:
            return frozenset()
        grace = 2 * self.scrape_interval_seconds
        if query.kind in {"rate", "histogram"}:
            grace = max(grace, window_seconds) + self.scrape_interval_seconds
        needs_gpu = query.signal.value.startswith("gpu_")
        return frozenset(
            pod.name
            for pod in self.pods
            if pod.ready
            and not pod.deleting
            and (pod.gpus > 0 or not needs_gpu)
            and self.now - (pod.ready_at or pod.created_at) > grace
        )


@dataclass(frozen=True)
class _Split:
    """One answer's rows of one target, and what they are worth."""

    state: SignalState
    rows: tuple[tuple[str, Row], ...]
    at: float | None
    message: str


def reading(query: Query, text: str, window_seconds: float, answer: Answer, *, feed: Feed, scope: Scope) -> Reading:
    """One value for each pod that answered."""
    split = _split(query, window_seconds, answer, feed, scope)
    by_pod = {pod: row.points[-1][1] for pod, row in split.rows}
    return Reading(query.signal, split.state, text, window_seconds, split.at, by_pod, split.message)


def gpu_reading(
    query: Query, text: str, window_seconds: float, answer: Answer, *, feed: Feed, scope: Scope
) -> GpuReading:
    """One value for each GPU of the pods that answered."""
    split = _split(query, window_seconds, answer, feed, scope)
    numbered: defaultdict[str, dict[int, float]] = defaultdict(dict)
    for pod, row in split.rows:
        if (number := row.labels.get("gpu", "")).isdecimal():
            numbered[pod][int(number)] = row.points[-1][1]
    by_pod = {pod: tuple(value for _, value in sorted(gpus.items())) for pod, gpus in numbered.items()}
    return GpuReading(query.signal, text, window_seconds, split.at, by_pod)


def distribution(
    query: Query, text: str, window_seconds: float, answer: Answer, *, feed: Feed, scope: Scope
) -> Distribution:
    """One histogram for each pod that answered."""
    split = _split(query, window_seconds, answer, feed, scope)
    counts: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for pod, row in split.rows:
        counts[pod].append((float(row.labels.get("le", "nan")), row.points[-1][1]))
    by_pod = {pod: buckets for pod, pairs in counts.items() if (buckets := _buckets(pairs)) is not None}
    return Distribution(query.signal, split.state, text, window_seconds, split.at, by_pod, split.message)


def layer_time(answer: Answer, *, feed: Feed, scope: Scope) -> dict[str, float]:
    """Return the share of a pass (0 to 1) by kind of layer, mean over the pods that name it; empty where none does.

    The names come from models: they are cut to their end, and made printable.
    """
    by_pod, shares = answer.by_pod(feed.labels), defaultdict[str, list[float]](list)
    for pod in scope.pods:
        for row in by_pod.get((scope.namespace, pod.name), ()):
            kind, share = row.labels.get("layer_kind", ""), row.points[-1][1]
            if kind and 0.0 <= share <= 1.0:
                shares[_printable(kind)].append(share)
    return {kind: fmean(values) for kind, values in shares.items()}


def error_reasons(answer: Answer, labels: Sequence[str], *, feed: Feed, scope: Scope) -> dict[str, float]:
    """Return errors per second by reason, summed over the pods; the first of the labels that a row has names it."""
    by_pod, rates = answer.by_pod(feed.labels), defaultdict[str, float](float)
    for pod in scope.pods:
        for row in by_pod.get((scope.namespace, pod.name), ()):
            reason = next((row.labels[label] for label in labels if row.labels.get(label)), "")
            if reason and row.points[-1][1] > 0.0:
                rates[_printable(reason)] += row.points[-1][1]
    return dict(rates)


def _printable(text: str) -> str:
    """Return the end of a name that others chose, fit to be shown."""
    return "".join(each if each.isprintable() else "?" for each in text[-LONGEST_NAME:])


def series(query: Query, text: str, grid: Grid, scope: Scope) -> Series:
    """Return the target as one series: pods combined as the signal's nature says; pods that are gone count, too."""
    columns = grid.of_deployment(scope.namespace, scope.target)
    points = []
    for place, at in enumerate(grid.times):
        present = [values[place] for values in columns if not math.isnan(values[place])]
        if present:
            points.append(Point(float(at), query.over_pods(present), len(present)))
    state = grid.state if points or grid.state is SignalState.ERROR else SignalState.NO_DATA
    return Series(query.signal, state, text, tuple(points), grid.message)


def _split(query: Query, window_seconds: float, answer: Answer, feed: Feed, scope: Scope) -> _Split:
    """Rows of the target's pods; a pod whose newest sample is old, or unknown, did not answer."""
    if answer.state is SignalState.ERROR:
        return _Split(SignalState.ERROR, (), None, answer.message)
    by_pod = answer.by_pod(feed.labels)
    ours = tuple((pod.name, row) for pod in scope.pods for row in by_pod.get((scope.namespace, pod.name), ()))
    if not ours:
        return _Split(SignalState.NO_DATA, (), None, _no_data(query, answer, feed))
    fresh_since = scope.now - scope.stale_after_seconds
    fresh = tuple((pod, row) for pod, row in ours if feed.newest.get(pod, -math.inf) >= fresh_since)
    at = max((feed.newest[pod] for pod, _ in (fresh or ours) if pod in feed.newest), default=None)
    if not fresh:
        age = "unknown" if at is None else f"{scope.now - at:.0f} s old"
        return _Split(SignalState.STALE, (), at, f"the newest sample is {age}")
    missing = scope.expected(query, window_seconds) - {pod for pod, _ in fresh}
    if missing:
        shown = ", ".join(sorted(missing)[:3]) + (", …" if len(missing) > 3 else "")
        return _Split(SignalState.PARTIAL, fresh, at, f"{len(missing)} of the pods did not answer: {shown}")
    if answer.state is SignalState.PARTIAL:
        return _Split(SignalState.PARTIAL, fresh, at, answer.message)
    return _Split(SignalState.OK, fresh, at, "")


def _no_data(query: Query, answer: Answer, feed: Feed) -> str:
    if feed.message.startswith("LabelMismatch"):
        return feed.message
    if feed.message and not feed.newest:
        return f"{query.needs[0]}: {feed.message}"
    if answer.rows:
        return f"{query.needs[0]}: no series of the target's pods"
    return f"{query.needs[0]}: no series"


def _buckets(pairs: list[tuple[float, float]]) -> Buckets | None:
    """Cumulative counts by bound; made monotonic, since extrapolated increases need not be. None without +Inf."""
    ordered = sorted(pair for pair in pairs if not math.isnan(pair[0]))
    if not ordered or not math.isinf(ordered[-1][0]):
        return None
    cumulative, highest = [], 0.0
    for _, count in ordered:
        highest = max(highest, count)
        cumulative.append(highest)
    return Buckets(tuple(bound for bound, _ in ordered), tuple(cumulative))
