"""Which requests give way when not all can be served in time. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from trimtab_engine.jobs import Item

# How many times as fast items must leave for requests to be given up that could be served.
_GAIN_IN_OVERLOAD = 1.02  # somebody has to go: less than that is within what the latency model does not know
_GAIN_IN_A_CROWD = 1.2  # it would end by itself: what is given up was not lost
_GAIN_OF_UNLIKE_ITEMS = 1.3  # the long ones are the first that cannot be served in time, and their going frees most
_UNLIKE_DEVIATION = 0.5  # of the times that items take alone, over their mean
_OVERLOAD_RATIO = 1.1  # arrivals to what the largest batches serve: chance alone moves the measured rate by a tenth


class PassTimes(NamedTuple):
    """Seconds of a pass of so many items, how many it has at most, and seconds of an item of so many tokens alone."""

    seconds: Callable[[int], float]
    most: int
    alone: Callable[[int], float]


def in_the_way(items: Sequence[Item], now: float, times: PassTimes, per_second: float) -> Sequence[Item]:
    """Return the head of the queue that must go so that what follows leaves faster; nearly always nothing.

    `items`: what waits, earliest deadline first. `per_second`: how many arrive. The head stays wherever the batch that
    it allows leaves time for all that wait, and the next one for all that wait then. Else the start is taken from which
    items leave fastest, if that is so much faster that it is worth those that could be served. The gains that are asked
    for were chosen by simulation (`python -m bench.batching`: `slow`, `packed mixed`, goodput).
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
    best, first = size / seconds[size - 1] * _least_gain(items, times, per_second), 0
    for start in range(1, len(items)):
        size = size_from(start, min(size, len(items) - start))
        if size / seconds[size - 1] > best:
            best, first = size / seconds[size - 1], start
    return items[:first]


def _least_gain(items: Sequence[Item], times: PassTimes, per_second: float) -> float:
    alone = [times.alone(item.length) for item in items]
    mean = sum(alone) / len(alone)
    if math.sqrt(sum((each - mean) ** 2 for each in alone) / len(alone)) > _UNLIKE_DEVIATION * mean:
        return _GAIN_OF_UNLIKE_ITEMS
    overloaded = per_second * times.seconds(times.most) > _OVERLOAD_RATIO * times.most
    return _GAIN_IN_OVERLOAD if overloaded else _GAIN_IN_A_CROWD


def _keeps_up(items: Sequence[Item], now: float, size: int, times: PassTimes, per_second: float) -> bool:
    """Whether `size` from the head leave time for all that wait, and the next batch for all that wait then."""
    busy_seconds = times.seconds(size)
    if len(items) > size / busy_seconds * (items[-1].job.deadline - now):
        return False
    then = len(items) - size + int(per_second * busy_seconds)
    return now + busy_seconds + times.seconds(min(then, times.most)) <= items[size].job.deadline
