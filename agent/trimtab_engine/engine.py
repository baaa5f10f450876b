"""The engine behind every protocol: the models, what they share, and the life of the process from start to drained."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from trimtab_engine.agent_link.slow import SlowSettings
from trimtab_engine.cache.response_cache import ResponseCache
from trimtab_engine.context import Context
from trimtab_engine.dispatch import Dispatcher
from trimtab_engine.errors import Draining, NotReady
from trimtab_engine.first_settings import FirstSettings
from trimtab_engine.intake import Intake, SharedParts
from trimtab_engine.jobs import Answer
from trimtab_engine.memory.engine_memory import EngineMemory
from trimtab_engine.metrics import EngineMetrics
from trimtab_engine.settings import LiveSettings
from trimtab_engine.slow_of_models import SlowReports


class Engine:
    """The served models, by name in `intakes`."""

    def __init__(self, context: Context, gave_up: Callable[[], None]) -> None:
        """Make everything that needs no worker.

        Raises:
            SettingError: a tokenizer cannot be read.
        """
        names = [described.name for described in context.descriptions]
        self.metrics = EngineMetrics(*names, objectives_seconds=context.settings.latency_objectives_seconds)
        agent = context.settings.agent
        self.first_settings = FirstSettings(0.0 if agent is None else agent.first_settings_wait_seconds)
        self._settings = context.settings
        self._live = LiveSettings()
        self._cache = ResponseCache(0, context.settings.cache_lifetime_seconds)
        self._tokenizer_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tokenizer")
        self._draining = False
        self._refusing = False
        self._memory = EngineMemory(
            context,
            self.metrics.memory,
            self._cache,
            workers=lambda: self._dispatcher.worker_pids,
            stepped=lambda: self._dispatcher.pump(),  # noqa: PLW0108  it is made below
            renew=lambda: self._dispatcher.renew_idle_workers(),  # noqa: PLW0108
        )
        guard = self._memory.guard
        self._dispatcher = Dispatcher(
            context, self.metrics, lambda: self._live, answered=self._store, guard=guard, gave_up=gave_up
        )
        shared = SharedParts(
            context.settings, self._cache, guard, self._dispatcher, self._tokenizer_thread, self._admit, context.log
        )
        self.intakes = {
            described.name: Intake(described, self.metrics.models[described.name], shared)
            for described in context.descriptions
        }

    @property
    def ready(self) -> bool:
        """Whether traffic should be sent here."""
        worker_ready_at = self._dispatcher.first_ready_at
        settled = worker_ready_at is not None and self.first_settings.settled(time.monotonic(), worker_ready_at)
        return settled and self._dispatcher.ready and not self._draining

    @property
    def draining(self) -> bool:
        """Whether the process is on its way out."""
        return self._draining

    def start(self) -> None:
        """Start the workers; `ready` turns true when the first has loaded."""
        self.apply(self._settings.live)
        self._dispatcher.start()
        self._memory.start()

    def close(self) -> None:
        """End the workers and the tokenizer thread."""
        self._memory.close()
        self._dispatcher.close()
        self._tokenizer_thread.shutdown(wait=False, cancel_futures=True)

    def apply(self, live: LiveSettings) -> None:
        """Put live settings in force: the next batch and the cache follow them."""
        self._live = live
        self._cache.set_eviction(live.cache_eviction)
        self._memory.cache_may_have(live.cache_limit_bytes)
        for model in self.metrics.models.values():
            model.periods.live_is(live)
        for queue in self._dispatcher.queues.values():
            queue.variants.apply(live)
        self._dispatcher.pump()

    def report_slow_to(self, reported: Callable[[SlowSettings], None]) -> None:
        """Tell how it stands with the slow settings, now and whenever that changes."""
        reports = SlowReports(list(self.intakes), reported)
        for name, queue in self._dispatcher.queues.items():
            queue.variants.report_to(partial(reports.heard, name))

    def begin_drain(self) -> None:
        """Report not ready; requests are still served, because endpoints lag behind readiness."""
        self._draining = True

    def refuse_new(self) -> None:
        """From now on a new request is answered Draining; what was admitted is finished."""
        self._refusing = True

    def abandon(self) -> None:
        """Answer what is still waiting or running with Draining: the time for draining is over."""
        error = Draining("the server ended before this request was done")
        for intake in self.intakes.values():
            intake.fail_followers(error)
        self._dispatcher.fail_all(error)

    def exposition(self) -> bytes:
        """Return the metrics, with the gauges as of now."""
        metrics = self.metrics
        metrics.cache_bytes.set(self._cache.size_bytes)
        metrics.cache_limit_bytes.set(self._cache.limit_bytes)
        metrics.cache_evictions.reaches(self._cache.removals["room"])
        metrics.cache_expired.reaches(self._cache.removals["age"])
        metrics.eviction_is(self._cache.rule.name, self._cache.ghost_hit_ratios)
        metrics.ready.set(self.ready)
        for intake in self.intakes.values():
            intake.publish(self._live)
        return metrics.exposition()

    def _admit(self) -> None:
        if self._refusing:
            raise Draining("the server is draining; ask another replica")
        if self._dispatcher.first_ready_at is None:
            raise NotReady("the model is still loading")

    def _store(self, model: str, key: bytes, answer: Answer, version: str) -> None:
        self.intakes[model].store(key, answer, version)
