"""Measures what one replica can do: a few seconds of closed loop at a fixed number of callers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

from dev.load.connection import ConnectionLostError
from dev.load.errors import LoadError
from dev.load.pool import Pool
from dev.load.replay import Exchange


@dataclass(frozen=True)
class Capacity:
    """Answers per second of a saturated server, measured with `callers` requests always under way."""

    per_second: float
    answered: int
    seconds: float
    callers: int


async def measure_capacity(
    pool: Pool, exchanges: Sequence[Exchange], *, seconds: float = 8.0, callers: int = 16, warm_seconds: float = 2.0
) -> Capacity:
    """Keep `callers` requests under way and count ok answers after a warm-up.

    Raises LoadError when nothing is answered: the server is not there, or refuses the requests.
    """
    loop = asyncio.get_running_loop()
    start = loop.time() + warm_seconds
    answers = _Answers(start, start + seconds)
    queue = cycle(exchanges)
    await asyncio.gather(*(answers.call(pool, queue) for _ in range(callers)))
    if answers.ok == 0:
        raise LoadError(f"calibration: no request was answered in {seconds:g} s; last failure: {answers.last_failure}")
    return Capacity(answers.ok / seconds, answers.ok, seconds, callers)


class _Answers:
    """Counts ok answers that come inside the measured stretch of time."""

    def __init__(self, start: float, end: float) -> None:
        self._start = start
        self._end = end
        self.ok = 0
        self.last_failure = "no answer before the end"

    async def call(self, pool: Pool, queue: Iterator[Exchange]) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < self._end:
            try:
                async with asyncio.timeout_at(self._end):
                    answer = await pool.exchange(next(queue).request)
            except TimeoutError:
                return
            except (ConnectionLostError, OSError) as error:
                self.last_failure = str(error)
                await asyncio.sleep(0.1)
                continue
            if answer.status != 200:
                self.last_failure = f"status {answer.status}"
            elif loop.time() >= self._start:
                self.ok += 1
