"""How fast items arrive, by the newest of them. No clock: time comes in as an argument."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from trimtab_engine.jobs import Item

_NEWEST = 128  # enough that chance moves the rate by a tenth, few enough that a burst is seen while it lasts


class ArrivalRate:
    """Of one queue."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_NEWEST)

    def add(self, items: Iterable[Item]) -> None:
        """Count items that arrive."""
        self._times.extend([item.enqueued_at for item in items])

    def per_second(self, now: float) -> float:
        """Return items per second up to now; 0 while too few have come. It falls while nothing arrives."""
        seconds = now - self._times[0] if len(self._times) == _NEWEST else 0.0
        return _NEWEST / seconds if seconds > 0.0 else 0.0
