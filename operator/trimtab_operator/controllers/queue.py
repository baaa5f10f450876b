"""A keyed work queue: one worker at a time for each key, no key twice, delays, back-off, and who is overdue.

Adding a key that waits moves it forward, never back; adding one that is being worked on runs it again afterwards.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from trimtab_operator.clock import Clock

K = TypeVar("K", bound=Hashable)


@dataclass
class _Entry:
    """State of one key: it waits until `due`, or is being worked on since `started`."""

    due: float | None = None
    failures: int = 0
    started: float | None = None  # being worked on since
    again: float | None = None  # due time asked for during the work


class KeyedQueue(Generic[K]):
    """Times are monotonic seconds of the clock."""

    def __init__(self, clock: Clock, *, backoff_seconds: float = 0.5, backoff_limit_seconds: float = 15.0) -> None:
        self._clock = clock
        self._backoff = backoff_seconds
        self._backoff_limit = backoff_limit_seconds
        self._entries: dict[K, _Entry] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._sequence = 0
        self._changed = asyncio.Event()

    def add(self, key: K, delay_seconds: float = 0.0) -> None:
        """Ask for the key within `delay_seconds`; an earlier time that is already set stays."""
        due = self._clock.monotonic() + max(0.0, delay_seconds)
        entry = self._entries.setdefault(key, _Entry())
        if entry.started is not None:
            entry.again = due if entry.again is None else min(entry.again, due)
        elif entry.due is None or due < entry.due:
            entry.due = due
            self._push(key, due)

    async def get(self) -> K:
        """Return the next key that is due; it belongs to the caller until done() or retry()."""
        while True:
            due = self.next_due
            if due is not None and due <= self._clock.monotonic():
                _, _, key = heapq.heappop(self._heap)
                entry = self._entries[key]
                entry.due, entry.started = None, self._clock.monotonic()
                return key
            self._changed.clear()
            await self._wait(due)

    def done(self, key: K, delay_seconds: float) -> None:
        """Note that the work succeeded; again after `delay_seconds`, or earlier if that was asked for meanwhile."""
        entry = self._entries.get(key)
        if entry is not None:
            entry.failures = 0
            self._finish(key, entry, delay_seconds)

    def retry(self, key: K) -> float:
        """Note that the work failed; again after an exponential back-off with jitter. Answers the delay, seconds."""
        entry = self._entries.get(key)
        if entry is None:
            return 0.0
        ceiling = min(self._backoff_limit, self._backoff * 2.0 ** min(entry.failures, 16))
        delay = ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - spread, not a secret
        entry.failures += 1
        # What was asked for during failed work does not skip the back-off.
        entry.again = None
        self._finish(key, entry, delay)
        return delay

    def forget(self, key: K) -> None:
        """Drop a key that is gone; work under way on it ends without being queued again."""
        self._entries.pop(key, None)

    @property
    def next_due(self) -> float | None:
        """When the next key is due; None when none waits."""
        self._drop_outdated()
        return self._heap[0][0] if self._heap else None

    @property
    def depth(self) -> int:
        """Keys that are due and not yet taken."""
        now = self._clock.monotonic()
        return sum(1 for entry in self._entries.values() if entry.due is not None and entry.due <= now)

    def overdue_seconds(self, allowance_seconds: float = 0.0) -> float:
        """By how much the most overdue key is late, waiting or in work, beyond the allowance; 0 when none is."""
        now = self._clock.monotonic()
        since = (entry.due if entry.started is None else entry.started for entry in self._entries.values())
        late = [now - at for at in since if at is not None]
        return max(0.0, max(late, default=0.0) - allowance_seconds)

    def _finish(self, key: K, entry: _Entry, delay_seconds: float) -> None:
        due = self._clock.monotonic() + max(0.0, delay_seconds)
        if entry.again is not None:
            due = min(due, entry.again)
        entry.started, entry.again, entry.due = None, None, due
        self._push(key, due)

    def _push(self, key: K, due: float) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (due, self._sequence, key))
        self._changed.set()

    def _drop_outdated(self) -> None:
        """Drop old places in the heap: a key that was moved forward or forgotten leaves one behind."""
        while self._heap:
            due, _, key = self._heap[0]
            entry = self._entries.get(key)
            if entry is not None and entry.due == due and entry.started is None:
                return
            heapq.heappop(self._heap)

    async def _wait(self, due: float | None) -> None:
        if due is None:
            await self._changed.wait()
            return
        sleep = asyncio.ensure_future(self._clock.sleep(due - self._clock.monotonic()))
        woken = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({sleep, woken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            woken.cancel()
