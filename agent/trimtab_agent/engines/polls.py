"""Requests that wait for a pod's entry to change: woken for exactly that pod, few for each pod."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from enum import Enum, auto

POLLS_PER_POD = 2
"""One that waits, and one of the same engine that asked again before the first was known to be dead."""


class Wake(Enum):
    """Why a wait ended."""

    CHANGED = auto()
    TIME_OVER = auto()
    DISPLACED = auto()
    """A newer request of the same pod took the place, or the agent ends."""


class Polls:
    """The waiting requests of each pod, oldest first."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, list[asyncio.Future[Wake]]] = defaultdict(list)
        self._closed = False

    async def wait(self, pod_uid: str, seconds: float) -> Wake:
        """Wait until the pod's entry changes, for at most so long."""
        if self._closed:
            return Wake.DISPLACED
        mine: asyncio.Future[Wake] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[pod_uid]
        waiting.append(mine)
        for oldest in waiting[:-POLLS_PER_POD]:
            _end(oldest, Wake.DISPLACED)
        try:
            async with asyncio.timeout(seconds):
                return await mine
        except TimeoutError:
            return Wake.TIME_OVER
        finally:
            waiting.remove(mine)
            if not waiting:
                self._waiting.pop(pod_uid, None)

    def wake(self, pod_uids: Iterable[str]) -> None:
        """Wake the requests of these pods."""
        for uid in pod_uids:
            for future in self._waiting.get(uid, ()):
                _end(future, Wake.CHANGED)

    def close(self) -> None:
        """End every wait now, and later ones at once: the agent ends."""
        self._closed = True
        for waiting in self._waiting.values():
            for future in waiting:
                _end(future, Wake.DISPLACED)


def _end(future: asyncio.Future[Wake], why: Wake) -> None:
    if not future.done():
        future.set_result(why)
