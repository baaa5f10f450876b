"""Calls back at the end of this turn of the event loop, or at a time: never later than asked, perhaps earlier."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

_SHORTEST_SECONDS = 0.001  # the loop's timers have millisecond steps


class Alarm:
    """One callback that is cheap to ask for again and again."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = math.inf
        self._soon = False

    def soon(self) -> None:
        """Ring at the end of this turn, once however often it is asked."""
        if not self._soon:
            self._soon = True
            self._loop.call_soon(self._end_of_turn)

    def at(self, wanted_at: float, now: float) -> None:
        """Ring at this monotonic time (seconds), infinity = never; a timer that is set for an earlier time stays."""
        if wanted_at >= self._rings_at:
            return
        self.cancel()
        delay = max(_SHORTEST_SECONDS, wanted_at - now)
        self._rings_at = now + delay
        self._timer = self._loop.call_later(delay, self._on_time)

    def cancel(self) -> None:
        """Forget the time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._rings_at = math.inf

    def _on_time(self) -> None:
        self._timer = None
        self._rings_at = math.inf
        self._ring()

    def _end_of_turn(self) -> None:
        self._soon = False
        self._ring()
