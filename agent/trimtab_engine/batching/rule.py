"""The rule by which batches are formed and requests dropped. No clock, no I/O: time comes in as an argument.

When a worker is free: (1) what cannot meet its deadline even alone is dropped before work is spent on it, where the
time of a pass is taken as at most half of the request's whole budget, so that a fresh request is always tried: one
stall must not make the model refuse everything and so never learn better. (2) The batch is the longest beginning of the
queue that keeps the earliest deadline in it, within `max_batch_size` rows and `max_batch_tokens` (padding included).
(3) If the first class cannot all be served in time, the requests at its head, whose deadlines force batches too small,
give way to a start from which items leave at least 2 % faster. (4) A batch that is not full waits up to
`max_queue_delay`, but never past the start that its deadline needs. With Adaptive batching it waits for nothing, and a
pass takes at most half of the latency target. Items that are tried again run alone, so that they can hurt no neighbour.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from trimtab_engine.batching.batch import Batch, Unfit, WaitUntil, batch_of
from trimtab_engine.batching.latency_model import LatencyModel, Shape, shape_of
from trimtab_engine.batching.queue import WaitingItems
from trimtab_engine.jobs import Item, Job
from trimtab_engine.settings import LiveSettings

_GAIN = 1.02  # less than that is within what the model does not know
_BUDGET_SHARE = 0.5
_PASS_SHARE = 0.5  # what comes while a pass begins waits for it and is in the next: two passes
_TIMER_SECONDS = 0.002  # a timer may be as late as that


class DropReason(StrEnum):
    """Why a request leaves the queue without an answer; the label `reason` of trimtab_engine_drops_total."""

    EXPIRED = "expired"
    UNREACHABLE = "unreachable"
    OVERLOADED = "overloaded"


@dataclass(frozen=True, slots=True)
class Drop:
    """A job that leaves the queue, and why; its items are gone from it already."""

    job: Job
    reason: DropReason


class Batcher:
    """The queue of one model and the decisions over it."""

    def __init__(self, latency: LatencyModel) -> None:
        self._latency = latency
        self._waiting = WaitingItems()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def earliest_deadline(self) -> float:
        """Monotonic seconds before which `expire` has nothing to do."""
        return self._waiting.earliest_deadline

    def add(self, items: Iterable[Item]) -> None:
        """Queue items."""
        self._waiting.add(items)

    def add_alone(self, item: Item) -> None:
        """Queue an item that must share its batch with nobody; it goes before the others."""
        self._waiting.add_alone(item)

    def discard(self, job: Job) -> None:
        """Take out the items of a job that needs no answer any more."""
        self._waiting.discard(job)

    def take_all(self) -> list[Item]:
        """Empty the queue, for a process that ends."""
        return self._waiting.take_all()

    def expire(self, now: float) -> list[Drop]:
        """Take out what is past its deadline; each job once."""
        return [Drop(job, DropReason.EXPIRED) for job in self._waiting.expire(now)]

    def give_up(self, now: float, settings: LiveSettings) -> list[Drop]:
        """Take out what a worker that is free now cannot serve in time; each job once."""
        if self._all_in_time_one_by_one(now):
            return []
        late = {id(item.job): item.job for item in self._waiting.in_order() if self._hopeless(item, now)}
        drops = [Drop(job, DropReason.UNREACHABLE) for job in late.values()]
        for drop in drops:
            self._waiting.discard(drop.job)
        forced = {id(item.job): item.job for item in self._in_the_way(now, settings.max_batch_size)}
        for job in forced.values():
            self._waiting.discard(job)
        return drops + [Drop(job, DropReason.OVERLOADED) for job in forced.values()]

    def next_batch(
        self, now: float, settings: LiveSettings, most_items: Callable[[int], int]
    ) -> Batch | Unfit | WaitUntil | None:
        """Return the batch to run now, the time to ask again, or None when nothing waits.

        `most_items(length)`: how many items padded to this length memory allows in one batch.
        """
        alone = self._waiting.pop_alone()
        if alone is not None:
            return batch_of([alone], most_items)
        if len(self._waiting) == 0:
            return None
        items, starts_by = self._beginning(now, settings)
        delay_seconds = 0.0 if settings.batching == "Adaptive" else settings.max_queue_delay_seconds
        ripe_at = self._waiting.oldest_arrival + delay_seconds
        if len(items) == len(self._waiting) < settings.max_batch_size and now < min(ripe_at, starts_by):
            return WaitUntil(min(ripe_at, starts_by))
        decision = batch_of(items, most_items)
        self._waiting.take(decision.items if isinstance(decision, Batch) else [decision.item])
        return decision

    def _beginning(self, now: float, settings: LiveSettings) -> tuple[list[Item], float]:
        """Return the longest beginning that keeps bounds and deadlines, at least one item, and when it must start."""
        most_tokens = settings.max_batch_tokens or math.inf
        adaptive = settings.batching == "Adaptive"
        longest_pass = _PASS_SHARE * settings.latency_target_seconds if adaptive else math.inf
        items: list[Item] = []
        shape, deadline, starts_by = Shape(0, 0, 0), math.inf, math.inf
        for item in self._waiting.in_order():
            larger, earliest = shape.plus(item.length), min(deadline, item.job.deadline)
            seconds = self._latency.bound(larger)
            full = larger.rows > settings.max_batch_size or larger.padded_tokens > most_tokens
            if items and (full or seconds > longest_pass or now + seconds > earliest):
                break
            items.append(item)
            shape, deadline, starts_by = larger, earliest, earliest - seconds - _TIMER_SECONDS
        return items, starts_by

    def _all_in_time_one_by_one(self, now: float) -> bool:
        """Whether there is so much time that nothing need be looked at; so it is nearly always."""
        longest = self._latency.longest
        seconds = self._latency.bound(Shape(1, longest, longest)) * len(self._waiting)
        return now + seconds <= self._waiting.earliest_deadline

    def _hopeless(self, item: Item, now: float) -> bool:
        budget = item.job.deadline - item.job.received_at
        seconds = min(self._latency.bound(shape_of([item.length])), _BUDGET_SHARE * budget)
        return now + seconds > item.job.deadline

    def _in_the_way(self, now: float, most: int) -> list[Item]:
        """Return the head of the first class that is dropped so that what follows leaves faster; often nothing."""
        items = self._waiting.first_class()
        if len(items) < 2 or not self._latency.known:
            return []
        length = max(1, sum(item.length for item in items) // len(items))
        times = [self._latency.bound(Shape(n, n * length, length)) for n in range(1, min(most, len(items)) + 1)]

        def rate_from(start: int, size: int) -> tuple[float, int]:
            slack = items[start].job.deadline - now
            while size < min(len(times), len(items) - start) and times[size] <= slack:
                size += 1
            return size / times[size - 1], size

        rate, size = rate_from(0, 1)
        if len(items) <= rate * (items[-1].job.deadline - now):
            return []
        best, start = rate * _GAIN, 0
        for candidate in range(1, len(items)):
            found, size = rate_from(candidate, min(size, len(items) - candidate))
            if found > best:
                best, start = found, candidate
        return items[:start]
