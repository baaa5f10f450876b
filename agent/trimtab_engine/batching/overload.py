"""Which requests give way when not all can be served in time. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from trimtab_engine.jobs import Item

_GAIN = 1.02  # less than that is within what the latency model does not know


class PassTimes(NamedTuple):
    """Seconds of a pass of so many items, and how many it has at most."""

    seconds: Callable[[int], float]
    most: int


def in_the_way(items: Sequence[Item], now: float, times: PassTimes, per_second: float) -> Sequence[Item]:
    """Return the head of the queue that must go so that what follows leaves faster; nearly always nothing.

    `items`: what waits, earliest deadline first. `per_second`: how many arrive. The head stays wherever the batch that
    it allows leaves time for all that wait, and the next one for all that wait then. Else the start is taken from which
    items leave fastest, the earliest within 2 %.
    """
    largest = min(times.most, len(items))
    if largest < 2 or now + times.seconds(largest) <= items[0].job.deadline:
        return ()
    seconds = [times.seconds(size) for size in range(1, largest + 1)]

    def size_from(start: int, size: int) -> int:
        slack = items[start].job.deadline - now
        while size < min(largest, len(items) - start) and seconds[size] <= slack:
            size += 1
        return size

    size = size_from(0, 1)
    if _keeps_up(items, now, size, times, per_second):
        return ()
    best, first = size / seconds[size - 1] * _GAIN, 0
    for start in range(1, len(items)):
        size = size_from(start, min(size, len(items) - start))
        if size / seconds[size - 1] > best:
            best, first = size / seconds[size - 1], start
    return items[:first]


def _keeps_up(items: Sequence[Item], now: float, size: int, times: PassTimes, per_second: float) -> bool:
    """Whether `size` from the head leave time for all that wait, and the next batch for all that wait then."""
    busy_seconds = times.seconds(size)
    if len(items) > size / busy_seconds * (items[-1].job.deadline - now):
        return False
    then = len(items) - size + int(per_second * busy_seconds)
    return now + busy_seconds + times.seconds(min(then, times.most)) <= items[size].job.deadline
