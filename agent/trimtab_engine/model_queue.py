"""One model's part of the data path: what waits for it, what was learned of its passes, and its variants.

A batch that fails, or whose worker dies, is tried again once, each item alone: the guilty one fails alone, its
neighbours are answered. One that finds no memory is split in two, down to single items.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

from trimtab_engine import wire
from trimtab_engine.batching.batch import Batch, Unfit, WaitUntil
from trimtab_engine.batching.latency_model import LatencyModel, shape_of
from trimtab_engine.batching.rule import Batcher, Drop, DropReason
from trimtab_engine.context import Context
from trimtab_engine.drops import error_of
from trimtab_engine.errors import EngineError, MemoryPressure, ModelFailed, OutOfMemory, PoisonRequest, WorkerDied
from trimtab_engine.jobs import Answer, Item, Job, input_key
from trimtab_engine.memory.split import SplitBatches
from trimtab_engine.metrics import ModelMetrics
from trimtab_engine.model_directory import Description
from trimtab_engine.poison import PoisonInputs
from trimtab_engine.settings import CaptureSettings, LiveSettings
from trimtab_engine.signature import Signature
from trimtab_engine.variants.serving import ServedVariants
from trimtab_engine.variants.spares import SpareMemory

_MAX_ATTEMPTS = 2
_SMOOTHING = 0.2  # weight of the newest batch in the seconds per item


class ModelQueue:
    """The queue of one model and what becomes of its batches."""

    def __init__(
        self,
        description: Description,
        context: Context,
        metrics: ModelMetrics,
        *,
        signature: Callable[[], Signature | None],
        answered: Callable[[str, bytes, Answer, str], None],
        contenders: Callable[[], int],
        spare_memory: SpareMemory,
    ) -> None:
        """`answered` hears of each cacheable answer; `contenders` tells how many models share the device now."""
        self.description = description
        self._metrics = metrics
        self._log = context.log
        self._answered = answered
        self._contenders = contenders
        self._latency = LatencyModel()
        self._batcher = Batcher(self._latency)
        self._split = SplitBatches()
        self._seconds_per_item = 0.0
        self._poison = PoisonInputs()
        self._running: list[Batch] = []
        self.variants = ServedVariants(
            self.name, _capture_of_each(context), signature, context.log, memory=spare_memory, declared=context.declared
        )

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.description.name

    @property
    def queued_items(self) -> int:
        """Items that wait for a batch."""
        return len(self._batcher) + len(self._split)

    @property
    def running_items(self) -> int:
        """Items in a batch now."""
        return sum(len(batch.items) for batch in self._running)

    @property
    def earliest_deadline(self) -> float:
        """Monotonic seconds before which `expire` has nothing to do."""
        return min(self._batcher.earliest_deadline, self._split.earliest_deadline)

    @property
    def version(self) -> str:
        """Version of the model and variant that the next batch runs on."""
        return f"{self.description.version}/{self.variants.in_force}"

    def retry_after_seconds(self, items: int) -> int:
        """Whole seconds in which `items` more would be served at the present rate, at least 1 and at most 60."""
        backlog = items + self.queued_items + self.running_items
        return max(1, min(60, math.ceil(backlog * self._seconds_per_item * max(1, self._contenders()))))

    def add(self, items: list[Item]) -> bool:
        """Queue the items of one job, unless one is known to take workers down."""
        job = items[0].job
        job.longest = max(job.longest or 0, *[item.length for item in items])
        if self._poison:
            now = time.monotonic()
            if any(self._poison.holds(self._row_key(item), now) for item in items):
                job.fail(PoisonRequest("this input was in two worker deaths within the last ten minutes"))
                return False
        self._batcher.add(items)
        return True

    def cancel(self, job: Job) -> None:
        """Forget the waiting items of a job; what is in a batch runs on and is not answered."""
        self._forget(job)
        job.cancel()

    def fail_all(self, error: EngineError) -> None:
        """Answer everything that waits or runs with an error."""
        running = [item for batch in self._running for item in batch.items]
        for item in self._batcher.take_all() + self._split.take_all() + running:
            item.job.fail(error)

    def expire(self, now: float) -> None:
        """Answer what is past its deadline."""
        self._drop(self._batcher.expire(now))
        self._drop([Drop(job, DropReason.EXPIRED) for job in self._split.expire(now)])

    def next_batch(self, now: float, live: LiveSettings, most_items: Callable[[int], int]) -> Batch | WaitUntil | None:
        """Take the next batch out of the queue; `most_items` tells how many of a length memory allows."""
        self._drop(self._batcher.give_up(now, live))
        while isinstance(
            decision := self._split.next_batch(most_items) or self._batcher.next_batch(now, live, most_items), Unfit
        ):
            self._fail(decision.item, MemoryPressure("this input is predicted to need more memory than there is", 60))
        return decision

    def began(self, batch: Batch, device: str, copy_seconds: float, now: float) -> None:
        """Note that a batch, which left the queue at `now`, is with a worker; moving it there took `copy_seconds`."""
        self._running.append(batch)
        shape = shape_of([item.length for item in batch.items])
        passes = self._metrics.passes
        period = passes.begun(
            device,
            shape,
            self.variants.in_force,
            expected_seconds=self._latency.expect(shape),
            copy_seconds=copy_seconds,
            now=time.monotonic(),
        )
        waited = []
        for item in batch.items:
            job = item.job
            item.attempts += 1
            job.period = job.period or period
            if item.attempts == 1:
                job.waiting -= 1
                if job.waiting == 0:
                    waited.append(now - job.enqueued_at)
        passes.entered(waited, period)

    def passed(self, batch: Batch, message: wire.BatchDone, copy_seconds: float) -> None:
        """Learn from a pass; `copy_seconds` went by while the batch was moved to the worker."""
        self._running.remove(batch)
        copied_seconds = message.copy_seconds + copy_seconds
        self._metrics.waste.passed(batch.items, message.seconds, copied_seconds, message.compile_seconds)
        self._latency.observe(shape_of([item.length for item in batch.items]), message.seconds)
        per_item = message.seconds / len(batch.items)
        rate = self._seconds_per_item
        self._seconds_per_item = per_item if rate == 0.0 else rate + _SMOOTHING * (per_item - rate)

    def answer(self, batch: Batch, message: wire.BatchDone, answers: list[bytes], variant: str) -> None:
        """Answer the items of a pass, which ran on this variant."""
        began = time.monotonic()
        self.variants.batch_done(batch.items, answers, variant)
        bad_rows = set(message.bad_rows)
        version = f"{self.description.version}/{variant}"
        for row, (item, data) in enumerate(zip(batch.items, answers, strict=True)):
            if row in bad_rows:
                self._fail(item, ModelFailed(f"the model's answer for input {item.index} is not finite"))
                continue
            answer = Answer(data, item.length, version)
            if item.key is not None:
                self._answered(self.name, item.key, answer, item.job.version)
            item.job.answer(item.index, answer)
        self._metrics.passes.answered(time.monotonic() - began)

    def ran_out(self, batch: Batch) -> None:
        """Queue the halves of a batch that found no memory."""
        self._running.remove(batch)
        failed = self._split.split(batch.items)
        if failed is not None:
            self._fail(failed, OutOfMemory("the device has no memory for this request, even alone"))

    def failed(self, batch: Batch, error: str) -> None:
        """Try the items of a batch that failed again, each alone."""
        self._running.remove(batch)
        for item in batch.items:
            self._again_or_fail(item, ModelFailed(f"the model pass failed with {error}"))

    def died(self, batch: Batch) -> None:
        """Try the items of a batch again whose worker died, each alone; refuse those that were in two deaths."""
        self._running.remove(batch)
        for item in batch.items:
            item.deaths += 1
            if item.deaths >= _MAX_ATTEMPTS:
                self._condemn(item)
                self._fail(item, PoisonRequest("this request was in two worker deaths; it is not tried again"))
            else:
                self._again_or_fail(item, WorkerDied("the worker died while it held this request"))

    def _drop(self, drops: list[Drop]) -> None:
        for drop in drops:
            self._metrics.drops[drop.reason].inc()
            drop.job.fail(error_of(drop.reason, self.retry_after_seconds(1)))

    def _again_or_fail(self, item: Item, error: EngineError) -> None:
        if item.job.ended:
            return
        if item.attempts < _MAX_ATTEMPTS:
            self._batcher.add_alone(item)
        else:
            self._fail(item, error)

    def _fail(self, item: Item, error: EngineError) -> None:
        self._forget(item.job)
        item.job.fail(error)

    def _forget(self, job: Job) -> None:
        self._batcher.discard(job)
        self._split.discard(job)

    def _condemn(self, item: Item) -> None:
        key = self._row_key(item)
        self._poison.add(key, time.monotonic())
        self._log.event("poison_request", key=key.hex())

    def _row_key(self, item: Item) -> bytes:
        return input_key(self.name, self.description.version, item.row)


def _capture_of_each(context: Context) -> CaptureSettings | None:
    """Return the capture's settings with the room divided by the number of models; None = no input is kept."""
    kept = context.settings.capture
    return None if kept is None else replace(kept, limit_bytes=kept.limit_bytes // len(context.descriptions))
