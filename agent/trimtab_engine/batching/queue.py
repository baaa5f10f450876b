"""What waits for a batch: by priority, in each class the earliest deadline first, equal ones in order of arrival."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, count, islice

from trimtab_engine.jobs import Item, Job

_Entry = tuple[float, int, Item]  # deadline, number of arrival; the number differs, so that items are never compared
# Of the places that those before it took, a class that waits keeps this share: it is slow, but never starved.
_SHARE_OF_LATER_CLASSES = 0.02


class WaitingItems:
    """The queue. Bounded by who admits; every operation is cheap enough for tens of thousands of items."""

    def __init__(self) -> None:
        self._lanes: dict[int, list[_Entry]] = {}
        self._credit: dict[int, float] = {}
        self._alone: deque[Item] = deque()
        self._numbers = count()
        self._size = 0

    def __len__(self) -> int:
        return self._size + len(self._alone)

    @property
    def earliest_deadline(self) -> float:
        """Monotonic seconds of the first deadline; infinity when nothing waits."""
        first = min((lane[0][0] for lane in self._lanes.values()), default=math.inf)
        return min(first, min((item.job.deadline for item in self._alone), default=math.inf))

    @property
    def oldest_arrival(self) -> float:
        """Monotonic seconds of the first arrival of what waits in the classes; infinity when nothing does."""
        return min((entry[2].enqueued_at for lane in self._lanes.values() for entry in lane), default=math.inf)

    def add(self, items: Iterable[Item]) -> None:
        """Queue items."""
        for item in items:
            insort(self._lanes.setdefault(item.job.priority, []), (item.job.deadline, next(self._numbers), item))
            self._size += 1

    def add_alone(self, item: Item) -> None:
        """Queue an item that must share its batch with nobody; it goes before the others."""
        self._alone.append(item)

    def pop_alone(self) -> Item | None:
        """Take the next item that runs alone."""
        return self._alone.popleft() if self._alone else None

    def first(self, most: int) -> list[Item]:
        """Return those that are to be served first, in that order."""
        entries = chain.from_iterable(self._lanes[priority] for priority in self._class_order())
        return [entry[2] for entry in islice(entries, most)]

    def ending_before(self, time: float) -> Iterator[Item]:
        """Give the items of the classes whose deadline is earlier; nothing may be taken or added meanwhile."""
        for lane in self._lanes.values():
            for deadline, _, item in lane:
                if deadline >= time:
                    break
                yield item

    def first_class(self) -> list[Item]:
        """Return the items of the class that is served next, earliest deadline first."""
        order = self._class_order()
        return [entry[2] for entry in self._lanes[order[0]]] if order else []

    def take(self, items: list[Item]) -> None:
        """Take out items that go into a batch, and credit the classes that they went before."""
        if not self._cut_off(items):
            for item in items:
                self._remove(item)
        taken_of = sorted(item.job.priority for item in items)
        first = taken_of[0]
        for priority in self._lanes:
            taken_before = bisect_left(taken_of, priority)
            taken = bisect_right(taken_of, priority) - taken_before
            credit = self._credit.get(priority, 0.0) + _SHARE_OF_LATER_CLASSES * taken_before - taken
            self._credit[priority] = max(0.0, credit) if priority > first or taken else credit
        self._credit = {priority: credit for priority, credit in self._credit.items() if priority in self._lanes}

    def expire(self, now: float) -> list[Job]:
        """Take out every item whose deadline has passed and return their jobs, each once."""
        expired: dict[int, Job] = {}
        for lane in self._lanes.values():
            end = bisect_right(lane, now, key=lambda entry: entry[0])
            expired.update((id(entry[2].job), entry[2].job) for entry in lane[:end])
            del lane[:end]
            self._size -= end
        expired.update((id(item.job), item.job) for item in self._alone if item.job.deadline <= now)
        self._alone = deque(item for item in self._alone if id(item.job) not in expired)
        self._forget_empty()
        return list(expired.values())

    def discard(self, job: Job) -> None:
        """Take out the items of a job that needs no answer any more."""
        lane = self._lanes.get(job.priority, [])
        start = bisect_left(lane, job.deadline, key=lambda entry: entry[0])
        end = bisect_right(lane, job.deadline, lo=start, key=lambda entry: entry[0])
        kept = [entry for entry in lane[start:end] if entry[2].job is not job]
        self._size -= end - start - len(kept)
        lane[start:end] = kept
        self._alone = deque(item for item in self._alone if item.job is not job)
        self._forget_empty()

    def take_all(self) -> list[Item]:
        """Empty the queue, for a process that ends."""
        items = [*self._alone, *(entry[2] for lane in self._lanes.values() for entry in lane)]
        self._alone.clear()
        self._lanes.clear()
        self._size = 0
        return items

    def _class_order(self) -> list[int]:
        """Lower numbers first, except that a class which has a whole place to its credit goes before them."""
        return sorted(self._lanes, key=lambda priority: (self._credit.get(priority, 0.0) < 1.0, priority))

    def _cut_off(self, items: list[Item]) -> bool:
        """Take out items that are the beginning of one class, which they nearly always are, at once."""
        lane = self._lanes[items[0].job.priority]
        if any(entry[2] is not item for entry, item in zip(lane, items, strict=False)) or len(lane) < len(items):
            return False
        del lane[: len(items)]
        self._size -= len(items)
        if not lane:
            del self._lanes[items[0].job.priority]
        return True

    def _remove(self, item: Item) -> None:
        lane = self._lanes[item.job.priority]
        start = bisect_left(lane, item.job.deadline, key=lambda entry: entry[0])
        while lane[start][2] is not item:
            start += 1
        del lane[start]
        self._size -= 1
        if not lane:
            del self._lanes[item.job.priority]

    def _forget_empty(self) -> None:
        self._lanes = {priority: lane for priority, lane in self._lanes.items() if lane}
