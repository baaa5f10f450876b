"""One engine's memory: its guard, the guard's clock, the cache as the first to give way, and a worker as the last."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping

from trimtab_engine.cache.response_cache import ResponseCache
from trimtab_engine.context import Context
from trimtab_engine.memory.gauges import MemoryMetrics
from trimtab_engine.memory.guard import MemoryGuard
from trimtab_engine.memory.ladder import Step
from trimtab_engine.memory.watch import MemoryWatch

_TRIM_PAUSE_SECONDS = 0.01  # between two slices of a cache that is cut short
_RENEWAL_PAUSE_SECONDS = 60.0  # where even a new worker leaves too little, starting it again and again is of no use


class EngineMemory:
    """Made with the engine, started with its workers."""

    def __init__(
        self,
        context: Context,
        metrics: MemoryMetrics,
        cache: ResponseCache,
        *,
        workers: Callable[[], Mapping[str, int | None]],
        stepped: Callable[[], None],
        renew: Callable[[], bool],
    ) -> None:
        """`workers`: see MemoryWatch; `stepped` hears of each move of the ladder: spare variants give way too.

        `renew` starts idle workers anew, and says whether there was one.
        """
        self.guard = MemoryGuard(metrics, context.log, self._stepped)
        self._cache = cache
        self._after_step = stepped
        self._renew = renew
        self._renewed_at = -math.inf
        self._cache_limit_bytes = 0
        self._trimming: asyncio.TimerHandle | None = None
        self._watch = MemoryWatch(self.guard, context.settings.memory_limit_bytes, workers, self._looked)

    def start(self) -> None:
        """Look from now on."""
        self._watch.start()

    def close(self) -> None:
        """Look no more."""
        self._watch.close()
        if self._trimming is not None:
            self._trimming.cancel()

    def cache_may_have(self, limit_bytes: int) -> None:
        """Put the budget of the settings in force, now or when memory allows."""
        self._cache_limit_bytes = limit_bytes
        if not self.guard.evicting:
            self._trim_later(self._cache.set_limit(limit_bytes))

    def _stepped(self, before: Step, after: Step) -> None:
        if after < Step.EVICT_CACHE <= before:
            self._trim_later(self._cache.set_limit(self._cache_limit_bytes))
        self._after_step()

    def _looked(self, now: float) -> None:
        self._give_cache_up()
        if self.guard.stuck(now) and now - self._renewed_at >= _RENEWAL_PAUSE_SECONDS and self._renew():
            self._renewed_at = now

    def _give_cache_up(self) -> None:
        """Halve the cache with each look for as long as memory is short of it."""
        if self.guard.evicting and self._cache.size_bytes:
            self._trim_later(self._cache.set_limit(self._cache.size_bytes // 2))

    def _trim_later(self, more: bool) -> None:
        if self._trimming is not None:
            self._trimming.cancel()
            self._trimming = None
        if more:
            loop = asyncio.get_running_loop()
            self._trimming = loop.call_later(_TRIM_PAUSE_SECONDS, lambda: self._trim_later(self._cache.trim()))
