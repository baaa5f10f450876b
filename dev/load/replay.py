"""The open loop: each request is sent when it is due, however slowly the ones before it are answered."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dev.load.arrivals import Schedule
from dev.load.connection import ConnectionLostError
from dev.load.errors import LoadError
from dev.load.outcomes import Outcome, Record, Run, outcome_of
from dev.load.pool import Pool
from dev.load.verify import AnswerCheck


@dataclass(frozen=True)
class Exchange:
    """What to send: the bytes of the request and the sentence inside, for the check of its answer."""

    sentence: str
    request: bytes


@dataclass(frozen=True)
class ReplayLimits:
    """When to give up on an answer, and how many requests may be open at once."""

    timeout_seconds: float = 10.0
    open_requests: int = 1000


# Called with the seconds since the start, the requests that ended since the last call, and how many are open.
Progress = Callable[[float, Sequence[Record], int], None]


class Replay:
    """One run of a schedule through a pool."""

    def __init__(self, pool: Pool, limits: ReplayLimits, check: AnswerCheck | None = None) -> None:
        self._pool = pool
        self._limits = limits
        self._check = check
        self._open = 0
        self._records: list[Record] = []
        self._started = 0.0
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Send nothing more; the run ends with the answers that are still under way."""
        self._stopped.set()

    async def run(
        self,
        schedule: Schedule,
        exchanges: Sequence[Exchange],
        *,
        progress: Progress | None = None,
        every_seconds: float = 1.0,
    ) -> Run:
        """Send every request of the schedule, or those until `stop`, and wait for the last answers.

        Raises LoadError when there are not as many requests as arrivals.
        """
        if len(exchanges) != len(schedule.arrivals_seconds):
            raise LoadError(f"{len(schedule.arrivals_seconds)} arrivals, but {len(exchanges)} requests")
        gc.freeze()
        self._started = time.perf_counter()
        started_at_epoch = time.time()
        ticker = asyncio.create_task(self._tick(progress, every_seconds)) if progress is not None else None
        ending = asyncio.create_task(self._ends(schedule.duration_seconds))
        sending = []
        for at, exchange in zip(schedule.arrivals_seconds, exchanges, strict=True):
            delay = at - self._elapsed()
            if delay > 0:
                await asyncio.sleep(delay)
            if self._stopped.is_set():
                break
            sending.append(asyncio.create_task(self._send(at, exchange)))
        duration = await ending
        await asyncio.gather(*sending)
        if ticker is not None:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)
        records = tuple(sorted(self._records, key=lambda record: record.scheduled_seconds))
        return Run(started_at_epoch, duration, records, self._pool.retried)

    async def _send(self, scheduled: float, exchange: Exchange) -> None:
        if self._open >= self._limits.open_requests:
            self._records.append(Record(scheduled, None, None, Outcome.UNSENT))
            return
        self._open += 1
        sent = self._elapsed()
        try:
            async with asyncio.timeout(scheduled + self._limits.timeout_seconds - sent):
                answer = await self._pool.exchange(exchange.request)
        except TimeoutError:
            self._records.append(Record(scheduled, sent, None, Outcome.UNANSWERED))
        except (ConnectionLostError, OSError):
            self._records.append(Record(scheduled, sent, None, Outcome.CONNECTION))
        else:
            answered = self._elapsed()
            outcome = outcome_of(answer.status)
            if outcome is Outcome.OK and self._check and not self._check.accepts(exchange.sentence, answer.body):
                outcome = Outcome.WRONG
            self._records.append(Record(scheduled, sent, answered, outcome, answer.status))
        finally:
            self._open -= 1

    async def _tick(self, progress: Progress, every_seconds: float) -> None:
        seen = 0
        while True:
            await asyncio.sleep(every_seconds)
            ended = self._records[seen:]
            seen += len(ended)
            progress(self._elapsed(), ended, self._open)

    async def _ends(self, duration_seconds: float) -> float:
        """Wait for the end of the schedule, or for `stop`; returns how long the run was."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, duration_seconds - self._elapsed())):
                await self._stopped.wait()
        return min(duration_seconds, self._elapsed()) if self._stopped.is_set() else duration_seconds

    def _elapsed(self) -> float:
        # Not the loop's clock: uvloop's stands still within a turn and counts whole milliseconds.
        return time.perf_counter() - self._started
