"""One target's questions to Prometheus in one tick, each shared with the other policies of the time slot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trimtab_api import OptimizationPolicy
from trimtab_operator.analysis.lookback import window_seconds
from trimtab_operator.analysis.pods import RECENT_SECONDS
from trimtab_operator.model.signals import Distribution, GpuReading, Reading, Series, Signal
from trimtab_operator.observation.batch import Batch
from trimtab_operator.observation.feeds import Feed
from trimtab_operator.observation.history import Grid, step_for
from trimtab_operator.observation.readings import (
    Scope,
    distribution,
    error_reasons,
    gpu_reading,
    layer_time,
    reading,
    series,
)
from trimtab_operator.runtimes.table import Query

RATE_SCRAPES = 4  # a rate needs two samples; four bridge a missed scrape and a late one
DISTRIBUTION_SECONDS = 60.0  # a percentile of fewer seconds is noise at the usual rates


@dataclass(frozen=True)
class Look:
    """One target's queries in one tick: `feeds` by source, all answers judged by `scope`."""

    batch: Batch
    feeds: Mapping[str, Feed]
    scope: Scope

    @property
    def rate_seconds(self) -> float:
        """Window of rates and gauges: four scrapes."""
        return self.scope.scrape_interval_seconds * RATE_SCRAPES

    @property
    def recent_seconds(self) -> float:
        """Window of the histograms of a tick."""
        return max(self.rate_seconds, DISTRIBUTION_SECONDS)

    def text(self, query: Query, window: float) -> str:
        """Return the PromQL of a query over a window in seconds."""
        return self.batch.text(query.promql, self.feeds[query.source].labels, window, self.scope.namespace)

    async def reading(self, query: Query, window: float | None = None) -> Reading:
        """One value for each pod, now, over so many seconds: four scrapes where none are said."""
        seconds = self.rate_seconds if window is None else window
        text = self.text(query, seconds)
        answer = await self.batch.instant(text, self.scope.now)
        return reading(query, text, seconds, answer, feed=self.feeds[query.source], scope=self.scope)

    async def gpus(self, queries: Iterable[Query]) -> dict[Signal, GpuReading]:
        """One value for each GPU, now, by signal; empty, and not asked, where no pod has several."""
        if all(pod.gpus < 2 for pod in self.scope.pods):
            return {}
        found = await asyncio.gather(*(self._gpu_reading(query) for query in queries if query.by_gpu))
        return {each.signal: each for each in found if each.by_pod}

    async def _gpu_reading(self, query: Query) -> GpuReading:
        feed = self.feeds[query.source]
        text = self.batch.text(query.by_gpu, feed.labels, self.rate_seconds, self.scope.namespace)
        answer = await self.batch.instant(text, self.scope.now)
        return gpu_reading(query, text, self.rate_seconds, answer, feed=feed, scope=self.scope)

    async def long_distributions(self, histograms: Iterable[Query], window: float) -> dict[Signal, Distribution]:
        """Histograms over a long window in seconds, as they stood when the minute began."""
        return {query.signal: await self._long_distribution(query, window) for query in histograms}

    async def _long_distribution(self, query: Query, window: float) -> Distribution:
        text = self.text(query, window)
        answer = await self.batch.instant_of_minute(text, self.scope.now)
        return distribution(query, text, window, answer, feed=self.feeds[query.source], scope=self.scope)

    async def error_reasons(self, template: str, labels: Sequence[str]) -> dict[str, float]:
        """Return errors per second by reason over the last five minutes; empty without a template."""
        if not template:
            return {}
        feed = self.feeds["engine"]
        text = self.batch.text(template, feed.labels, RECENT_SECONDS, self.scope.namespace)
        return error_reasons(
            await self.batch.instant_of_minute(text, self.scope.now), labels, feed=feed, scope=self.scope
        )

    async def layer_time(self, template: str) -> dict[str, float]:
        """Return the costliest kinds of layers with their shares of a pass; empty without a template."""
        if not template:
            return {}
        feed = self.feeds["engine"]
        text = self.batch.text(template, feed.labels, self.rate_seconds, self.scope.namespace)
        return layer_time(await self.batch.instant(text, self.scope.now), feed=feed, scope=self.scope)

    async def distribution(self, query: Query, window: float, at: float | None = None) -> Distribution:
        """One histogram for each pod over the last `window` seconds, or over those before `at` (unix seconds)."""
        text = self.text(query, window)
        answer = await self.batch.instant(text, self.scope.now if at is None else at)
        return distribution(query, text, window, answer, feed=self.feeds[query.source], scope=self.scope)

    async def past_distribution(self, query: Query, begin: float, end: float) -> Distribution:
        """One histogram for each pod between two times that are over (unix seconds); asked of Prometheus once."""
        feed = self.feeds[query.source]
        text = self.batch.text_of_one(query.promql, feed.labels, end - begin, self.scope.namespace)
        return distribution(query, text, end - begin, await self.batch.past(text, end), feed=feed, scope=self.scope)

    async def window_distributions(
        self, histograms: Iterable[Query], policy: OptimizationPolicy
    ) -> tuple[Distribution, ...]:
        """Histograms over the whole observation window: for the baseline, so only until it stands in status."""
        if policy.status.baseline is not None:
            return ()
        window = window_seconds(policy)
        return tuple(await asyncio.gather(*(self.distribution(query, window) for query in histograms)))

    async def history(self, queries: Iterable[Query], lookback: int) -> tuple[Series, ...]:
        """Series of the whole target over the lookback, seconds."""
        step = step_for(lookback, self.scope.scrape_interval_seconds)
        return tuple(await asyncio.gather(*(self.series(query, lookback, step) for query in queries)))

    async def series(self, query: Query, lookback: int, step: int) -> Series:
        """Series of the whole target at multiples of the step, seconds; a rate is the mean over its step."""
        text = self.text(query, max(self.rate_seconds, float(step)))
        return series(query, text, await self.grid(query, text, lookback, step), self.scope)

    async def grid(self, query: Query, text: str, lookback: int, step: int) -> Grid:
        """Return the values of every pod over the lookback, at multiples of the step; seconds."""
        labels = self.feeds[query.source].labels
        return await self.batch.over_window(text, labels, lookback, step, self.scope.now)
