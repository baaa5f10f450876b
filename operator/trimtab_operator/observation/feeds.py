"""Where a target's series come from: which labels carry its pods, how fresh each pod's samples are, how far apart.

A feed is one source of series (the engine's own scrape, the node agent, dcgm-exporter). The time of a sample is asked
for explicitly: an instant query answers with its own time, which would make a dead feed look fresh.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from trimtab_operator.model.signals import GpuSource, SignalState, Source
from trimtab_operator.observation.batch import Batch
from trimtab_operator.observation.labels import PodLabels, candidates
from trimtab_operator.observation.prometheus import Answer
from trimtab_operator.runtimes.rows import BY, freshness
from trimtab_operator.runtimes.select import RUNTIMES

RETRY_SECONDS: Final = 60.0
TRUSTED_SECONDS: Final = 300.0  # a fleet of only young pods reads too long: it may not replace a value this recent
DEFAULT_SCRAPE_SECONDS: Final = 15.0
USUAL_SCRAPE_SECONDS: Final = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0)

AGENT_FRESHNESS: Final = freshness("trimtab_agent_container_cpu_seconds_total")
DCGM_FRESHNESS: Final = (
    f"max {BY} (timestamp(DCGM_FI_DEV_GPU_UTIL{{$selector}}) or timestamp(DCGM_FI_PROF_GR_ENGINE_ACTIVE{{$selector}}))"
)
AGENT_GPUS: Final = "max by ($namespace_label, $pod_label, simulated) (trimtab_agent_gpu_assigned{$selector} == 1)"


@dataclass(frozen=True)
class Feed:
    """One source as it stands now. `newest` holds the time (unix seconds) of each pod's newest sample."""

    labels: PodLabels
    state: SignalState
    newest: dict[str, float] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True)
class GpuFeed:
    """Which source tells of the target's GPUs, and whether they are simulated."""

    source: GpuSource
    simulated: bool = False


class Feeds:
    """Finds feeds, and remembers the labels that joined. Configured label names go first."""

    def __init__(
        self, batch: Batch, label_namespace: str | None, label_pod: str | None, scrape_interval_seconds: float | None
    ) -> None:
        self._batch = batch
        self._label_namespace = label_namespace
        self._label_pod = label_pod
        self._configured_interval = scrape_interval_seconds
        self._joined: dict[tuple[str, ...], PodLabels] = {}
        self._probed_at: dict[tuple[str, ...], float] = {}
        self._proven: set[tuple[Source, PodLabels]] = set()  # they named the pods of some target
        self._intervals: dict[str, tuple[float, float]] = {}  # by runtime: seconds, learned at

    async def engine(self, runtime: str, namespace: str, target: str, pods: Iterable[str], now: float) -> Feed:
        """Return the engine's own metrics; NO_DATA for an unknown runtime."""
        if runtime not in RUNTIMES:
            return Feed(self._candidates("engine")[0], SignalState.NO_DATA, message="the runtime is not known")
        return await self._find("engine", RUNTIMES[runtime].freshness, namespace, target, pods=pods, now=now)

    async def agent(self, namespace: str, target: str, pods: Iterable[str], now: float) -> Feed:
        """Return the node agents' metrics of the target's containers."""
        return await self._find("agent", AGENT_FRESHNESS, namespace, target, pods=pods, now=now)

    async def dcgm(self, namespace: str, target: str, pods: Iterable[str], now: float) -> Feed:
        """NVIDIA's dcgm-exporter."""
        return await self._find("dcgm", DCGM_FRESHNESS, namespace, target, pods=pods, now=now)

    async def gpu(self, agent: Feed, dcgm: Feed, namespace: str, pods: Iterable[str], now: float) -> GpuFeed:
        """Dcgm where it knows the pods, else our agent where it knows their GPUs, else none."""
        if dcgm.newest:
            return GpuFeed("dcgm")
        answer = await self._batch.instant(self._batch.text(AGENT_GPUS, agent.labels, 60, namespace), now)
        by_pod = answer.by_pod(agent.labels)
        rows = [row for name in pods for row in by_pod.get((namespace, name), ())]
        if not rows:
            return GpuFeed("none")
        return GpuFeed("agent", simulated=any(row.labels.get("simulated") == "true" for row in rows))

    async def scrape_interval_seconds(self, runtime: str, feed: Feed, namespace: str, now: float) -> float | None:
        """Return it as configured, or learned from the spacing of samples (young pods read too long)."""
        if self._configured_interval is not None:
            return self._configured_interval
        known, learned_at = self._intervals.get(runtime, (None, 0.0))
        if runtime not in RUNTIMES or not feed.newest:
            return known
        query = self._batch.text(RUNTIMES[runtime].scrape_interval, feed.labels, 60, namespace)
        answer = await self._batch.instant(query, now)
        found = [point[1] for row in answer.rows for point in row.points]
        if not found:
            return known
        seconds = _usual(min(found))
        if known is None or seconds <= known or now - learned_at > TRUSTED_SECONDS:
            self._intervals[runtime] = (seconds, now)
        return self._intervals[runtime][0]

    def _candidates(self, source: Source) -> tuple[PodLabels, ...]:
        return candidates(self._label_namespace, self._label_pod, source)

    async def _find(
        self, source: Source, template: str, namespace: str, target: str, *, pods: Iterable[str], now: float
    ) -> Feed:
        names, key = set(pods), (source, template, namespace, target)
        options = self._candidates(source)
        labels = self._joined.get(key, options[0])
        proven = (source, labels) in self._proven
        feed = await self._look(template, labels, namespace, names, now, proven=proven)
        if feed.newest:
            self._proven.add((source, labels))
        if feed.newest or feed.state is SignalState.ERROR or not names:
            return feed
        if now - self._probed_at.get(key, -RETRY_SECONDS) < RETRY_SECONDS:
            return feed
        self._probed_at[key] = now
        others = [option for option in options if option != labels]
        for found in await asyncio.gather(*(self._look(template, option, namespace, names, now) for option in others)):
            if found.newest:
                self._joined[key] = found.labels
                return found
        return feed

    async def _look(
        self, template: str, labels: PodLabels, namespace: str, names: set[str], now: float, *, proven: bool = False
    ) -> Feed:
        answer = await self._batch.instant(self._batch.text(template, labels, 60, namespace), now)
        by_pod = answer.by_pod(labels)
        newest = {name: rows[0].points[-1][1] for name in names if (rows := by_pod.get((namespace, name)))}
        state = SignalState.NO_DATA if answer.state is SignalState.OK and not newest else answer.state
        return Feed(labels, state, newest, answer.message or _explain(answer, newest, proven))


def _explain(answer: Answer, newest: dict[str, float], proven: bool) -> str:
    """Say why no pod of the target was found. Labels that name another target's pods are right: this one is unseen."""
    if newest:
        return ""
    if answer.rows and not proven:
        return (
            "LabelMismatch: series exist, but none of their labels names a pod of the target; "
            "set labels.namespace and labels.pod of the chart to the labels that do"
        )
    return "no series"


def _usual(seconds: float) -> float:
    """Return the spacing as somebody would configure it; a missed scrape or two do not make it another interval."""
    nearest = min(USUAL_SCRAPE_SECONDS, key=lambda usual: abs(usual - seconds))
    return nearest if abs(nearest - seconds) <= 0.2 * nearest else float(round(seconds, 1))
