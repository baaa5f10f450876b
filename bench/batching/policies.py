"""Rules of batching, as the simulation asks them: the engine's, BentoML's CORK, and a fixed size and delay."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from bench.batching.trace import PACED, Device, Request
from trimtab_engine.batching.batch import Batch, WaitUntil
from trimtab_engine.batching.latency_model import LatencyModel, Shape, shape_of
from trimtab_engine.batching.rule import Batcher
from trimtab_engine.jobs import Item, Job, TokenRow
from trimtab_engine.settings import LiveSettings


class Policy(Protocol):
    """Forms batches of requests; what it gives up it simply forgets."""

    def add(self, request: Request) -> None: ...

    def decide(self, now: float) -> Sequence[Request] | float | None:
        """Return a batch, the time to ask again, or None when nothing waits."""

    def done(self, batch: Sequence[Request], seconds: float) -> None: ...


class Fixed:
    """A full batch, or the oldest has waited 5 ms; nothing is refused."""

    def __init__(self, device: Device = PACED) -> None:
        self._queue: deque[Request] = deque()
        self._largest = device.largest

    def add(self, request: Request) -> None:
        self._queue.append(request)

    def decide(self, now: float) -> Sequence[Request] | float | None:
        if not self._queue:
            return None
        if len(self._queue) < self._largest and now < self._queue[0].at + 0.005:
            return self._queue[0].at + 0.005
        return [self._queue.popleft() for _ in range(min(self._largest, len(self._queue)))]

    def done(self, batch: Sequence[Request], seconds: float) -> None:
        """Nothing is learned."""


class Cork:
    """BentoML's adaptive batching, as its source has it: least squares over the last 50 batches, refusal of a head that
    would be late, waiting in steps of 1 ms while that is cheaper than the mean wait."""

    def __init__(self, device: Device = PACED) -> None:
        self._queue: deque[Request] = deque()
        self._device = device
        self._seen: deque[tuple[int, float]] = deque(maxlen=50)
        self._per_row, self._per_pass, self._wait, self._count = 0.001, 0.002, 0.01, 0

    def add(self, request: Request) -> None:
        self._queue.append(request)

    def decide(self, now: float) -> Sequence[Request] | float | None:
        queue, largest = self._queue, self._device.largest
        budget = self._device.budget_seconds
        while queue and now - queue[0].at + self._per_row * min(len(queue), largest) + self._per_pass >= budget:
            queue.popleft()
        if not queue:
            return None
        size = len(queue)
        if size < largest and size * (now - queue[-1].at + 0.001 + self._per_row) <= 0.95 * self._wait:
            return now + 0.001
        taken = [queue.popleft() for _ in range(min(largest, size))]
        self._wait += 0.1 * (sum(now - request.at for request in taken) / len(taken) - self._wait)
        return taken

    def done(self, batch: Sequence[Request], seconds: float) -> None:
        self._seen.append((len(batch), seconds))
        self._count += 1
        if self._count % 10 == 0 and len({n for n, _ in self._seen}) > 1:
            slope, level = np.polyfit([n for n, _ in self._seen], [s for _, s in self._seen], 1)
            self._per_row, self._per_pass = max(0.0, float(slope)), max(0.0, float(level))


class Constants(LatencyModel):
    """A model that was right once and learns nothing."""

    def __init__(self, device: Device = PACED) -> None:
        super().__init__()
        for _ in range(20):
            for rows in (1, 2, 4, 8, 16, 32):
                super().observe(Shape(rows, rows, 1), device.seconds(rows))

    def observe(self, shape: Shape, seconds: float) -> None:
        """Learn nothing."""


class Ours:
    """The engine's rule; greedy (manual, no delay) unless other settings are given."""

    def __init__(
        self, device: Device = PACED, latency: LatencyModel | None = None, live: LiveSettings | None = None
    ) -> None:
        self._device = device
        self._latency = LatencyModel() if latency is None else latency
        self._batcher = Batcher(self._latency)
        self._live = live or LiveSettings(max_batch_size=device.largest, max_queue_delay_seconds=0.0)

    def add(self, request: Request) -> None:
        at, length = request
        row = _row(length)
        self._batcher.add([Item(Job(1, at, at + self._device.budget_seconds, 0, lambda _: None), 0, row, None, at)])

    def decide(self, now: float) -> Sequence[Request] | float | None:
        self._batcher.expire(now)
        self._batcher.give_up(now, self._live)
        decision = self._batcher.next_batch(now, self._live, lambda _: self._live.max_batch_size)
        if isinstance(decision, Batch):
            return [Request(item.enqueued_at, item.length) for item in decision.items]
        return decision.time if isinstance(decision, WaitUntil) else None

    def done(self, batch: Sequence[Request], seconds: float) -> None:
        self._latency.observe(shape_of([request.length for request in batch]), seconds)


_ROWS: dict[int, TokenRow] = {}


def _row(length: int) -> TokenRow:
    return _ROWS.setdefault(length, TokenRow(np.ones(length, dtype=np.int32)))


Make = Callable[[Device], Policy]
POLICIES: dict[str, Make] = {"fixed": Fixed, "cork": Cork, "trimtab": Ours}
