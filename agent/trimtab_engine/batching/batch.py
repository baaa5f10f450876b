"""What a decision over the queue can be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trimtab_engine.jobs import Item


@dataclass(frozen=True, slots=True)
class Batch:
    """Items that go through the model together."""

    items: list[Item]


@dataclass(frozen=True, slots=True)
class Unfit:
    """An item that is predicted not to fit into memory, even alone; it has left the queue."""

    item: Item


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing to run yet; ask again at this monotonic time (seconds), or when something arrives."""

    time: float


def batch_of(items: list[Item], most_items: Callable[[int], int]) -> Batch | Unfit:
    """Return the longest beginning of the items that memory allows in one batch; `Unfit` where it is none."""
    longest, most = -1, 0
    for count, item in enumerate(items):
        if item.length > longest:
            longest = item.length
            most = most_items(longest)
        if count + 1 > most:
            return Batch(items[:count]) if count else Unfit(item)
    return Batch(items)
