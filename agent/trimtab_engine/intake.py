"""One model's way in: admission, cache, tokenizing, queue; ends each request exactly once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from trimtab_engine.cache.flights import Flights, Follower
from trimtab_engine.cache.response_cache import ResponseCache
from trimtab_engine.dispatch import Dispatcher
from trimtab_engine.errors import BadRequest, DeadlineExpired, DeadlinePast, EngineError, ModelFailed, QueueFull
from trimtab_engine.jobs import Answer, InferenceInputs, Item, Job, Row, TokenRow, input_key
from trimtab_engine.log import Log
from trimtab_engine.memory.guard import MemoryGuard
from trimtab_engine.metrics import ModelMetrics
from trimtab_engine.model_directory import Description, ModelDescription
from trimtab_engine.repeats import RepeatSample
from trimtab_engine.settings import LiveSettings, ProcessSettings
from trimtab_engine.signature import Signature
from trimtab_engine.tokens import TextTokenizer

Missing = tuple[int, str | Row, bytes | None]
"""An input that has to be computed: its place in the request, its text or row, and its cache key if there is one."""

# Tokenizing costs about 0.3 microseconds per character: longer requests leave the event loop to a thread.
_INLINE_CHARACTERS = 4096


@dataclass(frozen=True, slots=True)
class SharedParts:
    """What the models of a process share. `admit` refuses while no request is taken at all."""

    settings: ProcessSettings
    cache: ResponseCache
    guard: MemoryGuard
    dispatcher: Dispatcher
    tokenizer_thread: Executor
    admit: Callable[[], None]
    log: Log


class Intake:
    """Takes the requests for one model."""

    def __init__(self, description: Description, metrics: ModelMetrics, shared: SharedParts) -> None:
        """Read the model's tokenizer, where it has one.

        Raises:
            SettingError: it cannot be read.
        """
        self.description = description
        self.metrics = metrics
        self._settings = shared.settings
        self._cache = shared.cache
        self._guard = shared.guard
        self._dispatcher = shared.dispatcher
        self._queue = shared.dispatcher.queues[description.name]
        self._tokenizer = TextTokenizer(description) if isinstance(description, ModelDescription) else None
        self._tokenizer_thread = shared.tokenizer_thread
        self._admit = shared.admit
        self._log = shared.log
        self._flights = Flights()
        self._follower_timers: dict[Job, asyncio.TimerHandle] = {}
        self._tokenizing = 0
        self._repeats = RepeatSample()
        self._loop = asyncio.get_running_loop()

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.description.name

    @property
    def signature(self) -> Signature | None:
        """What the model takes and gives; None until a worker has loaded it."""
        return self._dispatcher.signature(self.name)

    def fail_followers(self, error: EngineError) -> None:
        """Answer the requests that wait for another one's computation with an error."""
        self._flights.fail_all(error)

    def infer(self, inputs: InferenceInputs, began_at: float, received_at: float, on_end: Callable[[Job], None]) -> Job:
        """Admit a request; `on_end` hears of its end, possibly before this returns.

        `began_at` and `received_at` are the monotonic times (seconds) of the first and the last byte.

        Raises:
            Draining, NotReady, MemoryPressure, BadRequest, DeadlinePast, QueueFull: refused before any work.
        """
        self._admit()
        self._guard.check()
        rows, cached, now = inputs.rows, self._cache.enabled, time.monotonic()
        self._check_size(len(rows))
        deadline = self._deadline(inputs, began_at, now)
        job = Job(len(rows), received_at, deadline, inputs.priority, self._ender(on_end) if cached else on_end)
        missing = self._look_up(rows, job, now) if cached else _uncached(rows)
        self._check_room(len(missing))
        self._repeats.see(rows)
        if cached:
            self.metrics.cache_hits.inc(len(rows) - len(missing))
            self.metrics.cache_misses.inc(len(missing))
            if not missing:
                job.end()
                return job
        job.enqueued_at = now
        job.missing = len(missing)
        self._compute(job, self._follow_or_lead(job, missing) if cached else missing)
        return job

    def cancel(self, job: Job) -> None:
        """Forget a job whose client is gone."""
        self._queue.cancel(job)

    def store(self, key: bytes, answer: Answer, version: str) -> None:
        """Keep a computed answer for later requests, and give it to those that wait for it."""
        priority = self._flights.resolve(key, answer)
        # A swap may lie between the key, which names a version, and the answer.
        if self._guard.admits_to_cache and answer.version == version:
            self._cache.put(key, answer, time.monotonic(), priority or 0)

    def publish(self, live: LiveSettings) -> None:
        """Set the gauges of this model to what is now."""
        metrics, limit = self.metrics, self._settings.queue_limit_items
        metrics.queue_requests.set(self._waiting_items)
        metrics.queue_limit_requests.set(limit)
        metrics.inflight_requests.set(self._queue.running_items)
        metrics.cache_shared.reaches(self._flights.followed)
        metrics.sampled_inputs.reaches(self._repeats.inputs)
        metrics.sampled_repeats.reaches(self._repeats.repeats)
        if self._tokenizer is not None:
            metrics.tokenize_seconds.reaches(self._tokenizer.seconds)
        metrics.variants.publish(self._queue.variants.life)
        metrics.settings_in_force(
            [
                ("max_batch_size", live.max_batch_size),
                ("max_queue_delay_seconds", live.max_queue_delay_seconds),
                ("cache_limit_bytes", live.cache_limit_bytes),
                ("queue_limit_requests", limit),
            ]
        )

    def _check_size(self, items: int) -> None:
        limit = self._settings.queue_limit_items
        if items > limit:
            raise BadRequest(f"the request has {items} inputs; accepted are 1 to {limit}", param="input")

    def _deadline(self, inputs: InferenceInputs, began_at: float, now: float) -> float:
        budget = inputs.budget_seconds
        deadline = began_at + (self._settings.default_deadline_seconds if budget is None else budget)
        if deadline <= now:
            raise DeadlinePast("the deadline had passed when the request was read; no work was begun")
        return deadline

    def _look_up(self, rows: Sequence[str | Row], job: Job, now: float) -> list[Missing]:
        """Give the job what the cache has; return what it has not."""
        job.version = self._queue.version
        missing: list[Missing] = []
        for index, row in enumerate(rows):
            key = input_key(self.name, job.version, row)
            self._cache.see(int.from_bytes(key[:8], "big"))
            answer = self._cache.get(key, now)
            if answer is None:
                missing.append((index, row, key))
            else:
                job.answers[index] = answer
                job.hits[index] = ord("h")
        return missing

    @property
    def _waiting_items(self) -> int:
        return self._queue.queued_items + self._tokenizing + self._flights.waiting

    def _ender(self, on_end: Callable[[Job], None]) -> Callable[[Job], None]:
        def ended(job: Job) -> None:
            timer = self._follower_timers.pop(job, None)
            if timer is not None:
                timer.cancel()
            # Not at once: a job may end in the middle of the dispatcher's work.
            for heir in self._flights.leave(job):
                self._loop.call_soon(self._take_over, heir)
            on_end(job)

        return ended

    def _follow_or_lead(self, job: Job, missing: list[Missing]) -> list[Missing]:
        own = []
        for index, row, key in missing:
            if key is None or not self._flights.join(Follower(job, index, row, key)):
                own.append((index, row, key))
            else:
                job.hits[index] = ord("s")
        if len(own) < len(missing):
            late = DeadlineExpired("the deadline passed while an equal request was computed")
            self._follower_timers[job] = self._loop.call_later(job.deadline - job.enqueued_at, job.fail, late)
        return own

    def _take_over(self, heir: Follower) -> None:
        job = heir.job
        if not job.ended:
            job.hits[heir.index] = ord("m")
            self._compute(job, [(heir.index, heir.row, heir.key)])

    def _compute(self, job: Job, items: list[Missing]) -> None:
        if not items:
            return
        job.waiting += len(items)
        try:
            self._tokenize(job, items)
        except Exception as error:
            self._tokenizing_failed(job, error)

    def _check_room(self, items: int) -> None:
        limit = self._settings.queue_limit_items
        waiting = self._waiting_items
        if items and waiting + items > limit:
            raise QueueFull(
                f"{waiting} of {limit} places in the queue are taken; this request needs {items}",
                self._queue.retry_after_seconds(items),
            )

    def _tokenize(self, job: Job, missing: list[Missing]) -> None:
        if self._tokenizer is not None:
            texts = [row for _, row, _ in missing if isinstance(row, str)]
            if sum(map(len, texts)) > _INLINE_CHARACTERS:
                self._tokenize_in_thread(job, self._tokenizer, texts, missing)
                return
            if texts:
                missing = _with_rows(missing, self._tokenizer.encode(texts))
        self._submit(job, missing)

    def _submit(self, job: Job, missing: list[Missing]) -> None:
        enqueued_at = job.enqueued_at
        items = [Item(job, index, row, key, enqueued_at) for index, row, key in missing if not isinstance(row, str)]
        self._dispatcher.submit(self.name, items)

    def _tokenize_in_thread(self, job: Job, tokenizer: TextTokenizer, texts: list[str], missing: list[Missing]) -> None:
        def done(future: asyncio.Future[list[TokenRow]]) -> None:
            self._tokenizing -= len(texts)
            error = None if future.cancelled() else future.exception()
            if error is not None:
                self._tokenizing_failed(job, error)
            elif not job.ended and not future.cancelled():
                self._submit(job, _with_rows(missing, future.result()))

        self._tokenizing += len(texts)
        future = self._loop.run_in_executor(self._tokenizer_thread, tokenizer.encode, texts)
        future.add_done_callback(done)

    def _tokenizing_failed(self, job: Job, error: BaseException) -> None:
        self._log.event("tokenizing_failed", error=type(error).__name__)
        job.fail(ModelFailed(f"tokenizing failed with {type(error).__name__}"))


def _uncached(rows: Sequence[str | Row]) -> list[Missing]:
    return [(index, row, None) for index, row in enumerate(rows)]


def _with_rows(missing: list[Missing], rows: Sequence[Row]) -> list[Missing]:
    return [(index, row, key) for (index, _, key), row in zip(missing, rows, strict=True)]
