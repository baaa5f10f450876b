"""Between queues and workers: an idle worker gets a batch of the model whose turn it is, or a chore."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec

from trimtab_engine import wire
from trimtab_engine.alarm import Alarm
from trimtab_engine.batching.batch import Batch, WaitUntil
from trimtab_engine.batching.latency_model import shape_of
from trimtab_engine.chore_turns import ChoreTurns
from trimtab_engine.context import Context
from trimtab_engine.errors import EngineError
from trimtab_engine.jobs import Answer, Item
from trimtab_engine.memory.guard import MemoryGuard, PassShape
from trimtab_engine.metrics import EngineMetrics
from trimtab_engine.model_directory import Description
from trimtab_engine.model_queue import ModelQueue
from trimtab_engine.settings import LiveSettings
from trimtab_engine.shares import FairShares
from trimtab_engine.signature import Signature
from trimtab_engine.variants.spares import SpareMemory
from trimtab_engine.worker_link import WorkerEvents, WorkerLink


class Dispatcher:
    """Owns the queues of the models and the links to the workers."""

    def __init__(
        self,
        context: Context,
        metrics: EngineMetrics,
        live: Callable[[], LiveSettings],
        *,
        answered: Callable[[str, bytes, Answer, str], None],
        guard: MemoryGuard,
        gave_up: Callable[[], None],
    ) -> None:
        """`answered(model, key, answer, version)` hears of each cacheable answer."""
        self._context = context
        self._metrics = metrics
        self._log = context.log
        self._live = live
        self._guard = guard
        self._alarm = Alarm(asyncio.get_running_loop(), self.pump)
        self._first_ready_at: float | None = None
        self.queues = {
            described.name: self._queue_of(described, context, answered) for described in context.descriptions
        }
        self._shares = FairShares()
        self._chores = ChoreTurns({name: queue.variants for name, queue in self.queues.items()})
        hears = WorkerEvents(self._on_ready, self._on_result, self._on_heard, self._on_death, lambda _: gave_up())
        self._links: Sequence[WorkerLink] = [WorkerLink(context.settings.device, context, hears)]

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

    def renew_idle_workers(self) -> bool:
        """Start every worker anew that has nothing to do; returns whether there was one."""
        idle = [link for link in self._links if link.idle]
        for link in idle:
            link.renew()
            self._guard.renewed(link.device)
        return bool(idle)

    def signature(self, model: str) -> Signature | None:
        """Return what a model takes and gives; None until a worker has told."""
        return next((found for link in self._links if (found := link.signatures.get(model))), None)

    def start(self) -> None:
        """Start every worker."""
        for link in self._links:
            link.start()

    def close(self) -> None:
        """End every worker."""
        self._alarm.cancel()
        for link in self._links:
            link.close()

    def submit(self, model: str, items: list[Item]) -> None:
        """Queue the items of one job and form what batches can be formed."""
        if self.queues[model].add(items):
            self._alarm.soon()  # the requests that are read in one turn of the loop share a batch

    def fail_all(self, error: EngineError) -> None:
        """Answer everything that waits or runs with an error."""
        for queue in self.queues.values():
            queue.fail_all(error)

    def pump(self) -> None:
        """Expire, then give every idle worker a batch, then set the timer for what comes next."""
        now = time.monotonic()
        wake_at = math.inf
        for queue in self.queues.values():
            queue.expire(now)
            wake_at = min(wake_at, queue.earliest_deadline)
        for link in self._links:
            if link.idle:
                wake_at = min(wake_at, self._feed(link, now))
        self._alarm.at(wake_at, now)

    def _feed(self, link: WorkerLink, now: float) -> float:
        """Give an idle worker a batch or a chore; returns when to ask again."""
        waiting = [queue for queue in self.queues.values() if queue.queued_items]
        if self._chores.start(link, now, waiting=bool(waiting)):
            return math.inf
        live = self._live()
        if len(waiting) > 1:  # the device would be another model's meanwhile: a batch grows while that one runs
            live = replace(live, batching="Manual", max_queue_delay_seconds=0.0)
            turns = self._shares.in_turn({queue.name: queue.earliest_deadline for queue in waiting})
            waiting = [self.queues[name] for name in turns]
        ask_at = math.inf
        for queue in waiting:
            decision = self._decide(link, queue, live, now)
            if isinstance(decision, Batch):
                self._run(link, queue, decision, now)
                return self._chores.quiet_at(now)
            if isinstance(decision, WaitUntil):
                ask_at = min(ask_at, decision.time)
        return ask_at if ask_at < math.inf else self._chores.quiet_at(now)

    def _decide(self, link: WorkerLink, queue: ModelQueue, live: LiveSettings, now: float) -> Batch | WaitUntil | None:
        within = self._within(link, queue.name, live)

        def most_items(length: int) -> int:
            return self._guard.most_items(link.device, queue.name, length, within.max_batch_size, now)

        return queue.next_batch(now, within, most_items)

    def _run(self, link: WorkerLink, queue: ModelQueue, batch: Batch, now: float) -> None:
        self._shares.began(queue.name)
        measure = self._guard.to_measure(_shape(link, queue.name, batch), now)
        link.run(batch, queue.name, queue.variants.in_force, measure)
        queue.began(batch, link.device, link.copy_seconds, now)

    def _variant_limit_bytes(self) -> int:
        room = min(self._guard.spare_bytes(link.device) for link in self._links)
        return 0 if math.isinf(room) else max(1, int(room))

    def _within(self, link: WorkerLink, model: str, live: LiveSettings) -> LiveSettings:
        """Bound the batch by what the slot takes; only rows of megabytes come near it."""
        rows = link.row_limits[model]
        return live if live.max_batch_size <= rows else replace(live, max_batch_size=rows)

    def _on_ready(self, link: WorkerLink, message: wire.WorkerReady) -> None:
        if self._first_ready_at is None:
            self._first_ready_at = time.monotonic()
        self._metrics.worker_known(self._context.version, message.torch, message.device)
        self._log.event("worker_ready", device=message.device, load_seconds=round(message.load_seconds, 3))
        self.pump()

    def _on_result(self, link: WorkerLink, batch: Batch, message: wire.BatchDone | wire.BatchFailed) -> None:
        now = time.monotonic()
        queue = self.queues[link.model]
        self._metrics.models[link.model].worker_busy(link.device, message.seconds)
        if self._chores.took(link, batch, message, now):
            self.pump()
            return
        self._metrics.models[link.model].passes.ended(link.device, message, now, self._waiting)
        self._shares.ended(link.model, message.seconds)
        shape = _shape(link, link.model, batch)
        if isinstance(message, wire.BatchDone):
            self._guard.pass_done(shape, message.measured, now)
            queue.passed(batch, message, link.copy_seconds)
            answers, variant = link.answers(batch, link.model, message), link.variant
            self.pump()  # the worker goes on while its last batch is answered
            queue.answer(batch, message, answers, variant)
            return
        if message.kind == "out_of_memory":
            self._guard.ran_out(shape, now)
            queue.ran_out(batch)
        else:
            queue.failed(batch, message.error)
        self.pump()

    def _on_heard(self, link: WorkerLink, message: msgspec.Struct) -> None:
        self._chores.heard(message, time.monotonic())
        self.pump()

    def _on_death(self, link: WorkerLink, batch: Batch | None) -> None:
        self._metrics.worker_restarted(link.device)
        waiting = batch is not None or self._waiting
        for model in self._metrics.models.values():
            model.passes.lost(link.device, time.monotonic(), waiting)
        for queue in self.queues.values():
            queue.variants.worker_died()
        of_a_chore = self._chores.died(link, time.monotonic())
        if batch is not None and not of_a_chore:
            self.queues[link.model].died(batch)
        self.pump()

    def _queue_of(
        self, described: Description, context: Context, answered: Callable[[str, bytes, Answer, str], None]
    ) -> ModelQueue:
        return ModelQueue(
            described,
            context,
            self._metrics.models[described.name],
            signature=lambda: self.signature(described.name),
            answered=answered,
            contenders=self._contenders,
            spare_memory=SpareMemory(lambda: self._guard.drops_spares, self._variant_limit_bytes),
        )

    @property
    def _waiting(self) -> bool:
        return any(queue.queued_items for queue in self.queues.values())

    def _contenders(self) -> int:
        return sum(1 for queue in self.queues.values() if queue.queued_items or queue.running_items)


def _shape(link: WorkerLink, model: str, batch: Batch) -> PassShape:
    rows, _, longest = shape_of([item.length for item in batch.items])
    return PassShape(link.device, model, rows, longest)
