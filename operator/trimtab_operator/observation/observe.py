"""observe(): everything that one tick may know, read at one instant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from trimtab_api import OptimizationPolicy
from trimtab_api.policy_status import LedgerEvent
from trimtab_operator.analysis.lookback import lookback_seconds, window_seconds
from trimtab_operator.errors import KubeNotFound
from trimtab_operator.kube.mode import ModeSwitch
from trimtab_operator.kube.port import Json, Kube
from trimtab_operator.kube.resources import POLICIES
from trimtab_operator.model.signals import Distribution, Reading, Series
from trimtab_operator.model.snapshot import Snapshot, Target
from trimtab_operator.observation.batch import Batch
from trimtab_operator.observation.feeds import DEFAULT_SCRAPE_SECONDS, Feed, Feeds, GpuFeed
from trimtab_operator.observation.history import step_for
from trimtab_operator.observation.readings import Scope, distribution, reading, series
from trimtab_operator.observation.rivals import older_policy
from trimtab_operator.observation.slots import slot_time
from trimtab_operator.observation.target import TargetReader
from trimtab_operator.runtimes.select import history_queries_for, queries_for
from trimtab_operator.runtimes.table import Query

RATE_SCRAPES = 4  # a rate needs two samples; four bridge a missed scrape and a late one
DISTRIBUTION_SECONDS = 60.0  # a percentile of fewer seconds is noise at the usual rates


@dataclass(frozen=True)
class Eyes:
    """What observe() looks with: the caches live as long as the process, and can be rebuilt from nothing."""

    kube: Kube
    batch: Batch
    feeds: Feeds
    targets: TargetReader
    switch: ModeSwitch
    policies: Callable[[], Iterable[Json]]


@dataclass(frozen=True)
class _Sources:
    """The feeds of one target, and the scrape interval (unknown: None; then a usual one is assumed)."""

    feeds: dict[str, Feed]
    gpu: GpuFeed
    scrape_interval_seconds: float | None


async def observe(eyes: Eyes, body: Json, policy: OptimizationPolicy, now: float) -> Snapshot:
    """Read the world of one policy (stored as `body`) as it was at the start of the time slot that holds `now`.

    The snapshot's `now` is that start: the time at which every query is evaluated, whichever policy asked first.

    Raises:
        KubeUnavailable: the API server did not answer. What Prometheus fails to say is in the snapshot.
    """
    now = slot_time(now)
    namespace = str(body["metadata"]["namespace"])
    scaled = [entry.at.timestamp() for entry in policy.status.history if entry.what is LedgerEvent.SCALED]
    target, ceiling, taken_by = await asyncio.gather(
        eyes.targets.read(namespace, policy.spec.target_ref, now, scaled_at=max(scaled, default=None)),
        eyes.switch.ceiling(),
        _taken_by(eyes, body),
    )
    if not isinstance(target, Target):
        return Snapshot(now, target, taken_by=taken_by, max_mode=ceiling.mode)
    bare = Snapshot(now, target, taken_by=taken_by, max_mode=ceiling.mode)
    return await _measured(eyes, policy, target, bare)


async def _measured(eyes: Eyes, policy: OptimizationPolicy, target: Target, bare: Snapshot) -> Snapshot:
    """Fill in what Prometheus says of the target."""
    sources = await _sources(eyes, target, bare.now)
    scrape = sources.scrape_interval_seconds or DEFAULT_SCRAPE_SECONDS
    look = _Look(eyes, sources, Scope(target.namespace, target.name, target.pods, bare.now, scrape))
    queries = queries_for(target.runtime, sources.gpu.source)
    histograms = [query for query in queries if query.kind == "histogram"]
    readings, distributions, history, over_window = await asyncio.gather(
        asyncio.gather(*(look.reading(query) for query in queries if query.kind != "histogram")),
        asyncio.gather(*(look.distribution(query, look.recent_seconds) for query in histograms)),
        look.history(history_queries_for(target.runtime, sources.gpu.source), round(lookback_seconds(policy))),
        look.window_distributions(histograms, policy),
    )
    return replace(
        bare,
        scrape_interval_seconds=sources.scrape_interval_seconds,
        gpu_source=sources.gpu.source,
        gpu_simulated=sources.gpu.simulated,
        readings={each.signal: each for each in readings},
        distributions={each.signal: each for each in distributions},
        history={each.signal: each for each in history},
        window_distributions={each.signal: each for each in over_window},
    )


async def _taken_by(eyes: Eyes, body: Json) -> str | None:
    """Return the older policy on the same target, read live: a watch cache can hold what is long gone."""
    others, gone = list(eyes.policies()), set[str]()
    while True:
        rival = older_policy(body, (other for other in others if _key(other) not in gone))
        if rival is None:
            return None
        namespace, name = rival.split("/")
        try:
            live = await eyes.kube.get(POLICIES, namespace, name)
        except KubeNotFound:
            gone.add(rival)
            continue
        if older_policy(body, [live]) == rival:
            return rival
        gone.add(rival)


def _key(body: Json) -> str:
    return f"{body['metadata']['namespace']}/{body['metadata']['name']}"


async def _sources(eyes: Eyes, target: Target, now: float) -> _Sources:
    namespace, name = target.namespace, target.name
    pods = [pod.name for pod in target.pods]
    engine, agent, dcgm = await asyncio.gather(
        eyes.feeds.engine(target.runtime, namespace, name, pods, now),
        eyes.feeds.agent(namespace, name, pods, now),
        eyes.feeds.dcgm(namespace, name, pods, now),
    )
    gpu = await eyes.feeds.gpu(agent, dcgm, namespace, pods, now)
    interval = await eyes.feeds.scrape_interval_seconds(target.runtime, engine, namespace, now)
    return _Sources({"engine": engine, "agent": agent, "dcgm": dcgm}, gpu, interval)


@dataclass(frozen=True)
class _Look:
    """One target's queries in one tick."""

    eyes: Eyes
    sources: _Sources
    scope: Scope

    @property
    def rate_seconds(self) -> float:
        return self.scope.scrape_interval_seconds * RATE_SCRAPES

    @property
    def recent_seconds(self) -> float:
        return max(self.rate_seconds, DISTRIBUTION_SECONDS)

    def _text(self, query: Query, window: float) -> str:
        return self.eyes.batch.text(query.promql, self.sources.feeds[query.source].labels, window, self.scope.namespace)

    async def reading(self, query: Query) -> Reading:
        text = self._text(query, self.rate_seconds)
        answer = await self.eyes.batch.instant(text, self.scope.now)
        return reading(query, text, self.rate_seconds, answer, feed=self.sources.feeds[query.source], scope=self.scope)

    async def distribution(self, query: Query, window: float) -> Distribution:
        text = self._text(query, window)
        answer = await self.eyes.batch.instant(text, self.scope.now)
        return distribution(query, text, window, answer, feed=self.sources.feeds[query.source], scope=self.scope)

    async def window_distributions(
        self, histograms: Iterable[Query], policy: OptimizationPolicy
    ) -> tuple[Distribution, ...]:
        """Histograms over the whole observation window: for the baseline, so only until it stands in status."""
        if policy.status.baseline is not None:
            return ()
        window = window_seconds(policy)
        return tuple(await asyncio.gather(*(self.distribution(query, window) for query in histograms)))

    async def history(self, queries: Iterable[Query], lookback: int) -> tuple[Series, ...]:
        step = step_for(lookback, self.scope.scrape_interval_seconds)
        return tuple(await asyncio.gather(*(self._series(query, lookback, step) for query in queries)))

    async def _series(self, query: Query, lookback: int, step: int) -> Series:
        text = self._text(query, max(self.rate_seconds, float(step)))
        labels = self.sources.feeds[query.source].labels
        grid = await self.eyes.batch.over_window(text, labels, lookback, step, self.scope.now)
        return series(query, text, grid, self.scope)
