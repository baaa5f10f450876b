"""The collecting loop: asks every source each interval, under a deadline, and keeps the latest snapshot."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from trimtab_agent.compose import changes, compose
from trimtab_agent.snapshot import DevicesReading, DriverReading, NodeReading, Snapshot, Source, SourceState

T = TypeVar("T")

FRESH_INTERVALS = 3
"""A snapshot older than this is not exported: stale is not fresh."""
HEALTHY_INTERVALS = 10
"""A loop that has not finished a tick for so long is broken: a restart is the remedy."""

_log = logging.getLogger(__name__)


class BoundedCall(Generic[T]):
    """One blocking call, never twice at a time: a driver that hangs costs one thread, not one for each tick.

    The thread is a daemon, so that a call that never returns does not hold up the end of the process.
    """

    def __init__(self, call: Callable[[], T], timeout_seconds: float) -> None:
        self._call = call
        self._timeout_seconds = timeout_seconds
        self._pending: Future[T] | None = None
        self._failure: str | None = None

    async def result(self) -> T | SourceState:
        """Return the call's answer, or timeout or error where it gave none in time."""
        if self._pending is not None and not self._pending.done():
            return SourceState.TIMEOUT
        self._pending = future = Future[T]()
        threading.Thread(target=self._run, args=(future,), daemon=True, name="trimtab-source").start()
        waiter = asyncio.wrap_future(future)
        done, _ = await asyncio.wait({waiter}, timeout=self._timeout_seconds)
        if not done:
            waiter.add_done_callback(lambda late: late.cancelled() or late.exception())
            return SourceState.TIMEOUT
        try:
            answer = waiter.result()
        except Exception as error:  # a source that fails must not stop the others; it is counted, and told once
            self._tell(f"{type(error).__name__}: {error}")
            return SourceState.ERROR
        self._failure = None
        return answer

    def _tell(self, failure: str) -> None:
        if failure != self._failure:
            _log.warning("source failed", extra={"values": {"error": failure}})
        self._failure = failure

    def _run(self, future: Future[T]) -> None:
        try:
            answer = self._call()
        except Exception as error:
            with suppress(asyncio.InvalidStateError):
                future.set_exception(error)
        else:
            future.set_result(answer)


@dataclass(frozen=True)
class Sources:
    """The blocking reads that a tick makes."""

    driver: BoundedCall[DriverReading]
    node: BoundedCall[NodeReading]
    devices: BoundedCall[DevicesReading]


@dataclass(frozen=True)
class Tick:
    """What one tick cost and what went wrong in it."""

    seconds: float
    errors: Mapping[Source, int]


class Collector:
    """Keeps the latest snapshot. `on_tick` is told after each tick; `clock` is monotonic, in seconds."""

    def __init__(
        self, sources: Sources, clock: Callable[[], float], interval_seconds: float, on_tick: Callable[[Tick], None]
    ) -> None:
        self._sources = sources
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._on_tick = on_tick
        self._started_at_seconds = clock()
        self._latest: Snapshot | None = None

    def fresh(self) -> Snapshot | None:
        """Return the latest snapshot, None when there is none younger than FRESH_INTERVALS."""
        latest = self._latest
        if latest is None or self._clock() - latest.taken_at_seconds > FRESH_INTERVALS * self._interval_seconds:
            return None
        return latest

    def is_ready(self) -> bool:
        """Whether a first collection is complete."""
        return self._latest is not None

    def is_healthy(self) -> bool:
        """Whether the loop finished a tick (or started) within HEALTHY_INTERVALS."""
        last = self._started_at_seconds if self._latest is None else self._latest.taken_at_seconds
        return self._clock() - last <= HEALTHY_INTERVALS * self._interval_seconds

    async def run(self) -> None:
        """Collect for ever, at a steady rhythm."""
        while True:
            started = self._clock()
            await self.collect()
            await asyncio.sleep(max(0.0, self._interval_seconds - (self._clock() - started)))

    async def collect(self) -> None:
        """One tick."""
        started = self._clock()
        driver, node, devices = await asyncio.gather(
            self._sources.driver.result(), self._sources.node.result(), self._sources.devices.result()
        )
        snapshot = compose(self._clock(), driver, node, devices)
        for change in changes(self._latest, snapshot):
            _log.log(
                logging.WARNING if change.is_loss else logging.INFO, change.message, extra={"values": change.values}
            )
        self._latest = snapshot
        self._on_tick(Tick(self._clock() - started, _errors(snapshot)))


def _errors(snapshot: Snapshot) -> dict[Source, int]:
    """Errors of each source in this tick: one where it failed as a whole, else one for each faulty reading."""
    failed = (SourceState.ERROR, SourceState.TIMEOUT)
    errors = {source: int(state in failed) for source, state in snapshot.source_states.items()}
    errors[Source.NVML] = max(errors[Source.NVML], snapshot.driver.faults)
    return errors
