"""A clock that moves when a test moves it; a sleep lasts until then."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class FakeClock:
    """`now` and `monotonic` move together; `advance` wakes the sleepers in their order."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now
        self._monotonic = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._numbers), future))
        await future

    def tick(self, seconds: float) -> None:
        """Move time without waking anybody: what a stopped process sees when it goes on."""
        self._now += seconds
        self._monotonic += seconds

    async def advance(self, seconds: float) -> None:
        """Move time, letting each sleeper run at its own moment."""
        end = self._monotonic + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, future = heapq.heappop(self._sleepers)
            self.tick(max(0.0, due - self._monotonic))
            if not future.done():
                future.set_result(None)
            await settle()
        self.tick(end - self._monotonic)
        await settle()


async def settle(turns: int = 50) -> None:
    """Let every task that can run do so."""
    for _ in range(turns):
        await asyncio.sleep(0)
