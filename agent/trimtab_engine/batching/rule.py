"""The rule by which batches are formed and requests dropped. No clock, no I/O: time comes in as an argument.

When a worker is free: (1) what cannot meet its deadline even alone is dropped before work is spent on it, where the
time of a pass is taken as at most half of the request's whole budget, so that a fresh request is always tried: one
stall must not make the model refuse everything and so never learn better. (2) The batch is the longest beginning of the
queue that keeps the earliest deadline in it, within `max_batch_size` rows and `max_batch_tokens` (padding included).
(3) If that leaves too little time for what waits or arrives, the requests at the head of the first class, whose
deadlines force batches too small, give way to a start from which items leave so much faster that it pays. (4) A batch
that is not full waits up to `max_queue_delay`, with Adaptive batching as long as that pays, but never past the start
that its deadline needs. (5) Where rows pay for padding, the batch is of items like the first in length, if that is
faster. Items that are tried again run alone, so that they can hurt no neighbour.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from trimtab_engine.batching.adaptive import goes_at
from trimtab_engine.batching.arrivals import ArrivalRate
from trimtab_engine.batching.batch import Batch, Unfit, WaitUntil, batch_of
from trimtab_engine.batching.latency_model import LatencyModel, shape_of
from trimtab_engine.batching.likeness import WINDOW_BATCHES, like_the_first
from trimtab_engine.batching.overload import PassTimes, in_the_way
from trimtab_engine.batching.queue import WaitingItems
from trimtab_engine.jobs import Item, Job
from trimtab_engine.settings import LiveSettings

_BUDGET_SHARE = 0.5
_GAIN = 1.1  # a smaller batch whose rate is higher by less is within what medians of a few batches do not know
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
        self._arrivals = ArrivalRate()
        self._longest = 0  # of all that came

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def earliest_deadline(self) -> float:
        """Monotonic seconds before which `expire` has nothing to do."""
        return self._waiting.earliest_deadline

    def add(self, items: Sequence[Item]) -> None:
        """Queue items."""
        self._waiting.add(items)
        self._arrivals.add(items)
        self._longest = max(self._longest, *[item.length for item in items])

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
        by = now + self._alone(self._longest)
        late = {id(item.job): item.job for item in self._waiting.ending_before(by) if self._hopeless(item, now)}
        drops = [Drop(job, DropReason.UNREACHABLE) for job in late.values()]
        for drop in drops:
            self._waiting.discard(drop.job)
        forced = {id(item.job): item.job for item in self._in_the_way(now, settings)}
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
        most = settings.max_batch_size
        items = self._waiting.first(most)
        size, starts_by = self._beginning(items, now, settings)
        if size == len(self._waiting) < most:
            starts_at = min(self._starts_at(items, now, settings), starts_by)
            if now < starts_at:
                return WaitUntil(starts_at)
        if len(items) > 1 and self._latency.pays_for_padding:
            items = like_the_first(self._waiting.first(most * WINDOW_BATCHES), most, self._latency)
            size, _ = self._beginning(items, now, settings)
        decision = batch_of(items[: self._efficient(items, size, now)], most_items)
        self._waiting.take(decision.items if isinstance(decision, Batch) else [decision.item])
        return decision

    def _starts_at(self, items: Sequence[Item], now: float, settings: LiveSettings) -> float:
        if settings.batching == "Adaptive":
            target = settings.latency_target_seconds
            return goes_at(items, now, target, self._latency, self._arrivals.per_second(now))
        return self._waiting.oldest_arrival + settings.max_queue_delay_seconds

    def _beginning(self, items: Sequence[Item], now: float, settings: LiveSettings) -> tuple[int, float]:
        """Return how many from the first on keep bounds and deadlines, at least one, and when they must start."""
        items = items[: settings.max_batch_size]
        lengths = [item.length for item in items]
        size, longest, deadline = len(items), max(lengths), min(item.job.deadline for item in items)
        seconds = self._latency.seconds(size, sum(lengths), longest)
        most_tokens = settings.max_batch_tokens or math.inf
        if size * longest <= most_tokens and now + seconds <= deadline:
            return size, deadline - seconds - _TIMER_SECONDS
        tokens, longest, deadline, starts_by = 0, 0, math.inf, math.inf
        for before, item in enumerate(items):
            tokens, longest = tokens + item.length, max(longest, item.length)
            deadline = min(deadline, item.job.deadline)
            seconds = self._latency.seconds(before + 1, tokens, longest)
            if before and ((before + 1) * longest > most_tokens or now + seconds > deadline):
                return before, starts_by
            starts_by = deadline - seconds - _TIMER_SECONDS
        return size, starts_by

    def _efficient(self, items: Sequence[Item], size: int, now: float) -> int:
        """Return how many of the first so many go now: fewer where two passes serve them faster, all in time."""
        fewer = self._latency.efficient_rows(size)
        if fewer == size:
            return size
        lengths = [item.length for item in items[:size]]
        whole, first, rest = (
            self._latency.bound(shape_of(part)) for part in (lengths, lengths[:fewer], lengths[fewer:])
        )
        faster = fewer * whole >= _GAIN * size * first
        return fewer if faster and now + first + rest <= items[fewer].job.deadline else size

    def _all_in_time_one_by_one(self, now: float) -> bool:
        """Whether there is so much time that nothing need be looked at; so it is nearly always."""
        return now + self._alone(self._longest) * len(self._waiting) <= self._waiting.earliest_deadline

    def _alone(self, length: int) -> float:
        return self._latency.seconds(1, length, length)

    def _hopeless(self, item: Item, now: float) -> bool:
        budget = item.job.deadline - item.job.received_at
        seconds = min(self._alone(item.length), _BUDGET_SHARE * budget)
        return now + seconds > item.job.deadline

    def _in_the_way(self, now: float, settings: LiveSettings) -> Sequence[Item]:
        items = self._waiting.first_class()
        if not items or not self._latency.known:
            return ()
        length = max(1, sum(item.length for item in items) // len(items))

        def seconds(size: int) -> float:
            return self._latency.seconds(size, size * length, length)

        times = PassTimes(seconds, settings.max_batch_size, self._alone)
        return in_the_way(items, now, times, self._arrivals.per_second(now))
