"""After out of memory: the batch in two halves, down to single items. Pure.

Each group is tried once: it is answered, or is split into smaller ones, so that this ends. One item that found no
memory alone is tried once more, for the worker has given memory back meanwhile.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from trimtab_engine.batching.batch import Batch, Unfit, batch_of
from trimtab_engine.jobs import Item, Job


class SplitBatches:
    """The groups that wait to be tried again; they go before everything else."""

    def __init__(self) -> None:
        self._groups: deque[list[Item]] = deque()

    def __len__(self) -> int:
        return sum(map(len, self._groups)) if self._groups else 0

    @property
    def earliest_deadline(self) -> float:
        """Monotonic seconds of the first deadline; infinity when nothing waits."""
        return min((item.job.deadline for group in self._groups for item in group), default=math.inf)

    def split(self, items: list[Item]) -> Item | None:
        """Queue the halves of a batch that found no memory. Returns the item that has now failed alone, if it has."""
        wanted = [item for item in items if not item.job.ended]
        if len(wanted) > 1:
            middle = len(wanted) // 2
            self._groups.extend((wanted[:middle], wanted[middle:]))
        elif wanted and (len(items) > 1 or wanted[0].attempts == 1):
            self._groups.append(wanted)
        elif wanted:
            return wanted[0]
        return None

    def next_batch(self, most_items: Callable[[int], int]) -> Batch | Unfit | None:
        """Return the next group as a batch, or the part of it that memory allows; None when nothing waits."""
        while self._groups:
            group = [item for item in self._groups.popleft() if not item.job.ended]
            if not group:
                continue
            decision = batch_of(group, most_items)
            rest = group[len(decision.items) if isinstance(decision, Batch) else 1 :]
            if rest:
                self._groups.appendleft(rest)
            return decision
        return None

    def expire(self, now: float) -> list[Job]:
        """Return the jobs whose deadline has passed; their items are taken out once the jobs have ended."""
        expired = {id(item.job): item.job for group in self._groups for item in group if item.job.deadline <= now}
        return list(expired.values())

    def discard(self, job: Job) -> None:
        """Take out the items of a job that needs no answer any more."""
        kept = ([item for item in group if item.job is not job] for group in self._groups)
        self._groups = deque(group for group in kept if group)

    def take_all(self) -> list[Item]:
        """Empty the queue, for a process that ends."""
        items = [item for group in self._groups for item in group]
        self._groups.clear()
        return items
