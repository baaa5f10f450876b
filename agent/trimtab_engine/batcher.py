"""The queue and the rule by which batches are formed. No clock, no I/O: time comes in as an argument.

Manual rule: a batch goes when it is full, or when its oldest item has waited `max_queue_delay`. Lower priority numbers
go first, equal ones in order of arrival. An item that is tried again runs alone,
so that it can hurt no neighbour.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from trimtab_engine.jobs import Item, Job
from trimtab_engine.settings import LiveSettings


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


class Batcher:
    """Waiting items by priority, and those to be tried again alone."""

    def __init__(self) -> None:
        self._lanes: dict[int, deque[Item]] = {}
        self._alone: deque[Item] = deque()
        self._earliest_deadline = math.inf  # a lower bound: served items may leave it too early, never too late

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values())) + len(self._alone)

    @property
    def earliest_deadline(self) -> float:
        """Monotonic seconds before which `expire` has nothing to do."""
        return self._earliest_deadline

    def add(self, items: Iterable[Item]) -> None:
        """Queue items behind those of the same priority."""
        for item in items:
            lane = self._lanes.get(item.job.priority)
            if lane is None:
                lane = self._lanes[item.job.priority] = deque()
            lane.append(item)
            self._earliest_deadline = min(self._earliest_deadline, item.job.deadline)

    def add_alone(self, item: Item) -> None:
        """Queue an item that must share its batch with nobody; it goes before the others."""
        self._alone.append(item)
        self._earliest_deadline = min(self._earliest_deadline, item.job.deadline)

    def next_batch(
        self, now: float, settings: LiveSettings, most_items: Callable[[int], int]
    ) -> Batch | Unfit | WaitUntil | None:
        """Return the batch to run now, the time to ask again, or None when nothing waits.

        `most_items(length)`: how many items padded to this length memory allows in one batch.
        """
        if self._alone:
            return batch_of([self._alone.popleft()], most_items)
        waiting = sum(map(len, self._lanes.values()))
        if waiting == 0:
            return None
        ripe_at = min(lane[0].enqueued_at for lane in self._lanes.values() if lane) + settings.max_queue_delay_seconds
        if waiting < settings.max_batch_size and now < ripe_at:
            return WaitUntil(ripe_at)
        items = self._take(settings.max_batch_size)
        decision = batch_of(items, most_items)
        self._put_back(items[len(decision.items) if isinstance(decision, Batch) else 1 :])
        return decision

    def expire(self, now: float) -> list[Job]:
        """Take out every item whose deadline has passed and return their jobs, each once."""
        if now < self._earliest_deadline:
            return []
        expired = {id(item.job): item.job for item in self._all() if item.job.deadline <= now}
        self._keep(lambda item: id(item.job) not in expired)
        self._earliest_deadline = min((item.job.deadline for item in self._all()), default=math.inf)
        return list(expired.values())

    def discard(self, job: Job) -> None:
        """Take out the items of a job that needs no answer any more."""
        self._keep(lambda item: item.job is not job)

    def take_all(self) -> list[Item]:
        """Empty the queue, for a process that ends."""
        items = list(self._all())
        self._keep(lambda _: False)
        return items

    def _take(self, count: int) -> list[Item]:
        items: list[Item] = []
        for priority in sorted(self._lanes):
            lane = self._lanes[priority]
            while lane and len(items) < count:
                items.append(lane.popleft())
            if not lane:
                del self._lanes[priority]
        return items

    def _put_back(self, items: list[Item]) -> None:
        for item in reversed(items):
            self._lanes.setdefault(item.job.priority, deque()).appendleft(item)

    def _all(self) -> Iterable[Item]:
        yield from self._alone
        for lane in self._lanes.values():
            yield from lane

    def _keep(self, wanted: Callable[[Item], bool]) -> None:
        self._alone = deque(filter(wanted, self._alone))
        lanes = {priority: deque(filter(wanted, lane)) for priority, lane in self._lanes.items()}
        self._lanes = {priority: lane for priority, lane in lanes.items() if lane}


def batch_of(items: list[Item], most_items: Callable[[int], int]) -> Batch | Unfit:
    """Return the longest beginning of the items that memory allows in one batch; `Unfit` where it is none."""
    longest = 0
    for count, item in enumerate(items):
        longest = max(longest, item.length)
        if count + 1 > most_items(longest):
            return Batch(items[:count]) if count else Unfit(item)
    return Batch(items)
