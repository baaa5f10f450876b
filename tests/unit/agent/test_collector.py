"""The collecting loop: deadlines, freshness, health, and what one broken source may do."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from trimtab_agent.collector import BoundedCall, Collector, Sources, Tick
from trimtab_agent.snapshot import DevicesReading, DriverReading, DriverState, NodeReading, Source, SourceState

INTERVAL_SECONDS = 5.0


class Clock:
    """A clock that stands still until it is told to move."""

    def __init__(self) -> None:
        self.now_seconds = 100.0

    def __call__(self) -> float:
        return self.now_seconds


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """An event on which a call hangs; set at the end, so that no thread outlives the test."""
    event = threading.Event()
    yield event
    event.set()


def a_driver() -> DriverReading:
    return DriverReading(DriverState.OK)


def a_collector(
    clock: Clock, driver: Callable[[], DriverReading] = a_driver, timeout_seconds: float = 5.0
) -> tuple[Collector, list[Tick]]:
    ticks: list[Tick] = []
    sources = Sources(
        BoundedCall(driver, timeout_seconds), BoundedCall(NodeReading, 5.0), BoundedCall(DevicesReading, 5.0)
    )
    return Collector(sources, clock, INTERVAL_SECONDS, ticks.append), ticks


async def test_a_snapshot_is_fresh_for_three_intervals_and_then_not_shown() -> None:
    clock = Clock()
    collector, _ = a_collector(clock)
    assert collector.fresh() is None
    await collector.collect()
    clock.now_seconds += 3 * INTERVAL_SECONDS
    assert collector.fresh() is not None
    clock.now_seconds += 0.1
    assert collector.fresh() is None


async def test_the_agent_is_ready_after_its_first_collection() -> None:
    collector, ticks = a_collector(Clock())
    assert not collector.is_ready()
    await collector.collect()
    assert collector.is_ready()
    assert len(ticks) == 1


async def test_a_loop_that_has_not_finished_for_ten_intervals_is_unhealthy() -> None:
    clock = Clock()
    collector, _ = a_collector(clock)
    assert collector.is_healthy()
    clock.now_seconds += 10 * INTERVAL_SECONDS + 0.1
    assert not collector.is_healthy()
    await collector.collect()
    assert collector.is_healthy()


async def test_a_driver_that_hangs_costs_one_thread_and_no_other_source(release: threading.Event) -> None:
    calls: list[int] = []

    def hang() -> DriverReading:
        calls.append(1)
        release.wait(30)
        return a_driver()

    collector, ticks = a_collector(Clock(), hang, timeout_seconds=0.05)
    for _ in range(3):
        await collector.collect()
    snapshot = collector.fresh()
    assert snapshot is not None
    assert snapshot.source_states[Source.NVML] is SourceState.TIMEOUT
    assert snapshot.source_states[Source.CGROUP] is SourceState.OK
    assert [tick.errors[Source.NVML] for tick in ticks] == [1, 1, 1]
    assert len(calls) == 1


async def test_a_call_that_was_late_is_asked_again_once_it_is_back(release: threading.Event) -> None:
    def slow() -> str:
        release.wait(30)
        return "answer"

    call = BoundedCall(slow, 0.05)
    assert await call.result() is SourceState.TIMEOUT
    release.set()
    deadline = asyncio.get_running_loop().time() + 5
    answer: str | SourceState = SourceState.TIMEOUT
    while answer is SourceState.TIMEOUT and asyncio.get_running_loop().time() < deadline:
        answer = await call.result()
        await asyncio.sleep(0)
    assert answer == "answer"


async def test_a_source_that_fails_is_an_error_told_once(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> DriverReading:
        raise OSError("no such mount")

    collector, ticks = a_collector(Clock(), fail)
    with caplog.at_level(logging.WARNING):
        await collector.collect()
        await collector.collect()
    assert [record.message for record in caplog.records].count("source failed") == 1
    assert sum(tick.errors[Source.NVML] for tick in ticks) == 2


async def test_a_failure_of_another_kind_is_told_again(caplog: pytest.LogCaptureFixture) -> None:
    reasons = iter(["first", "first", "second"])

    def fail() -> None:
        raise OSError(next(reasons))

    call = BoundedCall(fail, 5.0)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert await call.result() is SourceState.ERROR
    assert [record.values["error"] for record in caplog.records] == ["OSError: first", "OSError: second"]  # type: ignore[attr-defined]


async def test_faulty_readings_of_a_working_driver_are_counted_each() -> None:
    collector, ticks = a_collector(Clock(), lambda: DriverReading(DriverState.OK, faults=3))
    await collector.collect()
    assert ticks[0].errors[Source.NVML] == 3


async def test_a_node_without_driver_counts_no_error() -> None:
    collector, ticks = a_collector(Clock(), lambda: DriverReading(DriverState.NO_DRIVER))
    await collector.collect()
    assert sum(ticks[0].errors.values()) == 0
