"""A cache by time slot: what is asked twice within one slot is fetched once, and shared while it is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, TypeVar

SLOT_SECONDS: Final = 5.0

T = TypeVar("T")


def slot_time(now: float) -> float:
    """Start of the slot that holds `now` (unix seconds): the evaluation time of every query in it."""
    return now // SLOT_SECONDS * SLOT_SECONDS


class SlotCache:
    """Values by (slot, key). Only the newest two slots are kept: ticks of one interval share, older ones are gone."""

    def __init__(self) -> None:
        self._tasks: dict[float, dict[Hashable, asyncio.Task[Any]]] = {}

    async def get(self, slot: float, key: Hashable, fetch: Callable[[], Awaitable[T]]) -> T:
        """Return the value of `key` in `slot`; what `fetch` raises, all who share it get, and it is not kept."""
        tasks = self._tasks.setdefault(slot, {})
        for old in sorted(self._tasks)[:-2]:
            del self._tasks[old]
        task: asyncio.Task[T] | None = tasks.get(key)
        if task is None:
            task = tasks[key] = asyncio.ensure_future(_run(fetch))
            task.add_done_callback(lambda done: _forget_failure(tasks, key, done))
        return await asyncio.shield(task)


async def _run(fetch: Callable[[], Awaitable[T]]) -> T:
    return await fetch()


def _forget_failure(tasks: dict[Hashable, asyncio.Task[Any]], key: Hashable, done: asyncio.Task[Any]) -> None:
    if done.cancelled() or done.exception() is not None:
        tasks.pop(key, None)
