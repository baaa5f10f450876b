"""Between queue and workers: form batches when a worker is idle, map answers back, try again what a worker took down.

A batch that fails, or whose worker dies, is tried again once, each item alone: the guilty one fails alone, its
neighbours are answered. One that finds no memory is split in two, down to single items.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec

from trimtab_engine import wire
from trimtab_engine.alarm import Alarm
from trimtab_engine.batching.batch import Batch, Unfit, WaitUntil
from trimtab_engine.batching.latency_model import LatencyModel, shape_of
from trimtab_engine.batching.rule import Batcher, Drop, DropReason
from trimtab_engine.context import Context
from trimtab_engine.drops import error_of
from trimtab_engine.errors import EngineError, MemoryPressure, ModelFailed, OutOfMemory, PoisonRequest, WorkerDied
from trimtab_engine.jobs import Answer, Item, Job, input_key
from trimtab_engine.memory.guard import MemoryGuard, PassShape
from trimtab_engine.memory.split import SplitBatches
from trimtab_engine.metrics import EngineMetrics
from trimtab_engine.poison import PoisonInputs
from trimtab_engine.settings import LiveSettings
from trimtab_engine.signature import Signature
from trimtab_engine.spare_time import SpareTime
from trimtab_engine.variants.serving import ServedVariants
from trimtab_engine.worker_link import WorkerEvents, WorkerLink

_MAX_ATTEMPTS = 2
_SMOOTHING = 0.2


class Dispatcher:
    """Owns the queue and the links to the workers."""

    def __init__(
        self,
        context: Context,
        metrics: EngineMetrics,
        live: Callable[[], LiveSettings],
        *,
        answered: Callable[[bytes, Answer, str], None],
        guard: MemoryGuard,
        gave_up: Callable[[], None],
    ) -> None:
        self._context = context
        self._description = context.description
        self._metrics = metrics
        self._log = context.log
        self._live = live
        self._answered = answered  # hears of each cacheable answer
        self._latency = LatencyModel()
        self._batcher = Batcher(self._latency)
        self._guard = guard
        self._split = SplitBatches()
        self._alarm = Alarm(asyncio.get_running_loop(), self.pump)
        self._seconds_per_item = 0.0
        self._poison = PoisonInputs()
        self._first_ready_at: float | None = None
        self.variants = ServedVariants(context.description.name, context.settings, lambda: self.signature, self._log)
        self._spare_time = SpareTime(self.variants, context.description.name)
        hears = WorkerEvents(self._on_ready, self._on_result, self._on_heard, self._on_death, lambda _: gave_up())
        self._links: Sequence[WorkerLink] = [WorkerLink(context.settings.device, context, hears)]

    @property
    def queued_items(self) -> int:
        """Items that wait for a batch."""
        return len(self._batcher) + len(self._split)

    @property
    def running_items(self) -> int:
        """Items in a batch now."""
        return sum(len(link.batch.items) for link in self._links if link.batch)

    @property
    def ready(self) -> bool:
        """Whether any worker can take a batch."""
        return any(link.ready for link in self._links)

    @property
    def first_ready_at(self) -> float | None:
        """Monotonic seconds when a worker was ready first; from then on requests wait while one is restarted."""
        return self._first_ready_at

    @property
    def worker_pids(self) -> Mapping[str, int | None]:
        """Process ids by device, None for a worker that is not ready."""
        return {link.device: link.pid if link.ready else None for link in self._links}

    @property
    def signature(self) -> Signature | None:
        """What the model takes and gives; None until a worker has told."""
        return next((found for link in self._links if (found := link.signatures.get(self._description.name))), None)

    @property
    def version(self) -> str:
        """Version of the model and variant that the next batch runs on."""
        return f"{self._description.version}/{self.variants.in_force}"

    def start(self) -> None:
        """Start every worker."""
        for link in self._links:
            link.start()

    def close(self) -> None:
        """End every worker."""
        self._alarm.cancel()
        for link in self._links:
            link.close()

    def retry_after_seconds(self, items: int) -> int:
        """Whole seconds in which `items` more would be served at the present rate, at least 1 and at most 60."""
        backlog = items + self.queued_items + self.running_items
        return max(1, min(60, math.ceil(backlog * self._seconds_per_item / len(self._links))))

    def submit(self, job: Job, items: list[Item]) -> None:
        """Queue items of one job and form what batches can be formed."""
        job.longest = max(job.longest or 0, *[item.length for item in items])
        if self._poison:
            now = time.monotonic()
            if any(self._poison.holds(self._row_key(item), now) for item in items):
                job.fail(PoisonRequest("this input was in two worker deaths within the last ten minutes"))
                return
        self._batcher.add(items)
        self._alarm.soon()  # the requests that are read in one turn of the loop share a batch

    def cancel(self, job: Job) -> None:
        """Forget the waiting items of a job; what is in a batch runs on and is not answered."""
        self._batcher.discard(job)
        job.cancel()

    def fail_all(self, error: EngineError) -> None:
        """Answer everything that waits or runs with an error."""
        running = [item for link in self._links if link.batch is not None for item in link.batch.items]
        for item in self._batcher.take_all() + self._split.take_all() + running:
            item.job.fail(error)

    def pump(self) -> None:
        """Expire, then give every idle worker a batch, then set the timer for what comes next."""
        now = time.monotonic()
        self._drop(self._batcher.expire(now))
        self._drop([Drop(job, DropReason.EXPIRED) for job in self._split.expire(now)])
        wake_at = min(self._batcher.earliest_deadline, self._split.earliest_deadline)
        for link in self._links:
            if link.idle:
                wake_at = min(wake_at, self._feed(link, now))
        self._alarm.at(wake_at, now)

    def _feed(self, link: WorkerLink, now: float) -> float:
        """Give an idle worker a batch or a chore; returns when to ask again."""
        if self._spare_time.start(link, now, waiting=self.queued_items > 0):
            return math.inf
        live = self._within(link, self._live())
        self._drop(self._batcher.give_up(now, live))

        def most_items(length: int) -> int:
            return self._guard.most_items(link.device, self._description.name, length, live.max_batch_size, now)

        while isinstance(
            decision := self._split.next_batch(most_items) or self._batcher.next_batch(now, live, most_items), Unfit
        ):
            self._fail(decision.item, MemoryPressure("this input is predicted to need more memory than there is", 60))
        if isinstance(decision, Batch):
            self._run(link, decision, now)
        elif isinstance(decision, WaitUntil):
            return decision.time
        return self._spare_time.quiet_at(now)

    def _drop(self, drops: list[Drop]) -> None:
        for drop in drops:
            self._metrics.drops[drop.reason].inc()
            drop.job.fail(error_of(drop.reason, self.retry_after_seconds(1)))

    def _run(self, link: WorkerLink, batch: Batch, now: float) -> None:
        self._metrics.batch_size.observe(len(batch.items))
        for item in batch.items:
            item.attempts += 1
            if item.attempts == 1:
                item.job.waiting -= 1
                if item.job.waiting == 0:
                    self._metrics.queue_seconds.observe(now - item.job.enqueued_at)
        measure = self._guard.to_measure(self._shape(link, batch), now)
        link.run(batch, self._description.name, self.variants.in_force, measure)

    def _shape(self, link: WorkerLink, batch: Batch) -> PassShape:
        rows, _, longest = shape_of([item.length for item in batch.items])
        return PassShape(link.device, self._description.name, rows, longest)

    def _within(self, link: WorkerLink, live: LiveSettings) -> LiveSettings:
        """Bound the batch by what the slot takes; only rows of megabytes come near it."""
        rows = link.row_limits[self._description.name]
        return live if live.max_batch_size <= rows else replace(live, max_batch_size=rows)

    def _on_ready(self, link: WorkerLink, message: wire.WorkerReady) -> None:
        if self._first_ready_at is None:
            self._first_ready_at = time.monotonic()
        self._metrics.worker_known(self._context.version, message.torch, message.device)
        self._log.event("worker_ready", device=message.device, load_seconds=round(message.load_seconds, 3))
        self.pump()

    def _on_result(self, link: WorkerLink, batch: Batch, message: wire.BatchDone | wire.BatchFailed) -> None:
        now = time.monotonic()
        self._metrics.worker_busy(link.device, message.seconds)
        if self._spare_time.took(link, batch, message, now):
            self.pump()
            return
        shape = self._shape(link, batch)
        if isinstance(message, wire.BatchDone):
            self._guard.pass_done(shape, message.measured, now)
            self._metrics.waste.passed(batch.items, message.seconds, message.copy_seconds + link.copy_seconds)
            answers = link.answers(batch, self._description.name, message)
            self.variants.batch_done(batch.items, answers, link.variant)
            self._pass_done(batch, message, answers, f"{self._description.version}/{link.variant}")
        elif message.kind == "out_of_memory":
            self._guard.ran_out(shape, now)
            failed = self._split.split(batch.items)
            if failed is not None:
                self._fail(failed, OutOfMemory("the device has no memory for this request, even alone"))
        else:
            self._pass_failed(batch, message)
        self.pump()

    def _pass_done(self, batch: Batch, message: wire.BatchDone, answers: list[bytes], version: str) -> None:
        self._metrics.batch_seconds.observe(message.seconds)
        self._latency.observe(shape_of([item.length for item in batch.items]), message.seconds)
        per_item = message.seconds / len(batch.items)
        rate = self._seconds_per_item
        self._seconds_per_item = per_item if rate == 0.0 else rate + _SMOOTHING * (per_item - rate)
        bad_rows = set(message.bad_rows)
        for row, (item, data) in enumerate(zip(batch.items, answers, strict=True)):
            if row in bad_rows:
                self._fail(item, ModelFailed(f"the model's answer for input {item.index} is not finite"))
                continue
            answer = Answer(data, item.length, version)
            if item.key is not None:
                self._answered(item.key, answer, item.job.version)
            item.job.answer(item.index, answer)

    def _pass_failed(self, batch: Batch, message: wire.BatchFailed) -> None:
        for item in batch.items:
            self._again_or_fail(item, ModelFailed(f"the model pass failed with {message.error}"))

    def _on_heard(self, link: WorkerLink, message: msgspec.Struct) -> None:
        self._spare_time.heard(message, time.monotonic())
        self.pump()

    def _on_death(self, link: WorkerLink, batch: Batch | None) -> None:
        self._metrics.worker_restarted(link.device)
        self.variants.worker_died()
        if self._spare_time.died(link, time.monotonic()):
            batch = None
        for item in batch.items if batch is not None else ():
            item.deaths += 1
            if item.deaths >= _MAX_ATTEMPTS:
                self._condemn(item)
                self._fail(item, PoisonRequest("this request was in two worker deaths; it is not tried again"))
            else:
                self._again_or_fail(item, WorkerDied("the worker died while it held this request"))
        self.pump()

    def _again_or_fail(self, item: Item, error: EngineError) -> None:
        if item.job.ended:
            return
        if item.attempts < _MAX_ATTEMPTS:
            self._batcher.add_alone(item)
        else:
            self._fail(item, error)

    def _fail(self, item: Item, error: EngineError) -> None:
        self._batcher.discard(item.job)
        item.job.fail(error)

    def _condemn(self, item: Item) -> None:
        key = self._row_key(item)
        self._poison.add(key, time.monotonic())
        self._log.event("poison_request", key=key.hex())

    def _row_key(self, item: Item) -> bytes:
        return input_key(self._description.name, self._description.version, item.row)
