"""The leader's work: watch, list, queue and workers, until it is stopped or the Lease is lost."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final, Protocol

from trimtab_operator.controllers.cache import PolicyCache, PolicyKey, key_of
from trimtab_operator.controllers.nodes import NodeWorker
from trimtab_operator.controllers.queue import KeyedQueue
from trimtab_operator.controllers.ticks import Ticks
from trimtab_operator.controllers.watch import Deliver
from trimtab_operator.controllers.world import World
from trimtab_operator.errors import KubeError
from trimtab_operator.kube.port import Json
from trimtab_operator.kube.resources import POLICIES

RELIST_SECONDS: Final = 300.0
RELIST_RETRY_SECONDS: Final = 5.0
WATCH_RESTART_SECONDS: Final = 2.0
WATCH_RESTART_LIMIT_SECONDS: Final = 60.0
GAUGE_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class Watch(Protocol):
    """One run of a watch; see watch.PolicyWatch."""

    def start(self) -> None:
        """Begin."""
        ...

    async def ended(self) -> None:
        """Wait until it has ended."""
        ...

    async def stop(self) -> None:
        """End it."""
        ...


class Controller:
    """`make_watch` gives a new watch for each start; `namespaces` empty means all."""

    def __init__(
        self,
        world: World,
        cache: PolicyCache,
        queue: KeyedQueue[PolicyKey],
        make_watch: Callable[[Deliver], Watch],
        nodes: NodeWorker,
        *,
        namespaces: tuple[str, ...],
        concurrency: int,
    ) -> None:
        self._world = world
        self._cache = cache
        self._queue = queue
        self._make_watch = make_watch
        self._nodes = nodes
        self._namespaces = namespaces
        self._concurrency = concurrency
        self._ticks = Ticks(world, cache, queue)
        self._restart_watch = asyncio.Event()
        self._listed_at: float | None = None

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            LeadershipLost: (in a group) nothing may be written any more.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._relist(), name="relist")
            group.create_task(self._watch(), name="watch")
            group.create_task(self._measure(), name="queue gauges")
            group.create_task(self._nodes.work(), name="nodes")
            group.create_task(self._nodes.follow_authority(self._world.clock), name="authority")
            for number in range(self._concurrency):
                group.create_task(self._ticks.work(), name=f"worker {number}")

    @property
    def list_age_seconds(self) -> float | None:
        """Seconds since the last full list; None before the first."""
        return None if self._listed_at is None else self._world.clock.monotonic() - self._listed_at

    def deliver(self, kind: str | None, body: Json) -> None:
        """Take an event of the watch. Nothing is decided by it: it only says what to look at soon."""
        if kind == "DELETED":
            self._cache.remove(key_of(body), body["metadata"].get("uid"))
        else:
            self._cache.put(body)

    async def _relist(self) -> None:
        """Full lists find what the watch lost: objects that vanished while it was away stay in no cache."""
        while True:
            try:
                missed = self._cache.replace_all(await self._list())
            except KubeError as error:
                log.warning("policies not listed", extra={"pairs": {"error": str(error)}})
                await self._world.clock.sleep(RELIST_RETRY_SECONDS)
                continue
            if missed and self._listed_at is not None:
                log.warning("watch missed changes", extra={"pairs": {"changes": missed}})
                self._restart_watch.set()
            self._listed_at = self._world.clock.monotonic()
            await self._world.clock.sleep(RELIST_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311 - spread only

    async def _list(self) -> list[Json]:
        namespaces: tuple[str | None, ...] = self._namespaces or (None,)
        lists = await asyncio.gather(*(self._world.kube.list_all(POLICIES, namespace) for namespace in namespaces))
        return [{**body, "metadata": body["metadata"]} for bodies in lists for body in bodies]

    async def _watch(self) -> None:
        delay = WATCH_RESTART_SECONDS
        while True:
            self._restart_watch.clear()
            started, watch = self._world.clock.monotonic(), self._make_watch(self.deliver)
            watch.start()
            ends = [asyncio.ensure_future(watch.ended()), asyncio.ensure_future(self._restart_watch.wait())]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
                await watch.stop()
            lived = self._world.clock.monotonic() - started
            delay = WATCH_RESTART_SECONDS if lived > RELIST_SECONDS / 5 else min(delay * 2, WATCH_RESTART_LIMIT_SECONDS)
            log.warning("watch restarts", extra={"pairs": {"delay_seconds": delay, "lived_seconds": round(lived)}})
            await self._world.clock.sleep(delay)

    async def _measure(self) -> None:
        while True:
            self._world.telemetry.queue(self._queue.depth, self._queue.overdue_seconds())
            await self._world.clock.sleep(GAUGE_SECONDS)
