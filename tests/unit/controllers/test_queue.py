"""The keyed queue: order, dedupe, delay, back-off, overdue."""

from __future__ import annotations

import asyncio

import pytest
from fakes.clock import FakeClock, settle

from trimtab_operator.controllers.queue import KeyedQueue


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> KeyedQueue[str]:
    return KeyedQueue(clock, backoff_seconds=1, backoff_limit_seconds=8)


async def drain(queue: KeyedQueue[str], clock: FakeClock) -> list[str]:
    found = []
    while (due := queue.next_due) is not None and due <= clock.monotonic():
        found.append(await queue.get())
    return found


async def test_keys_come_in_the_order_in_which_they_fall_due(queue: KeyedQueue[str], clock: FakeClock) -> None:
    queue.add("late", 5)
    queue.add("soon", 1)
    queue.add("now")
    clock.tick(10)
    assert await drain(queue, clock) == ["now", "soon", "late"]


async def test_a_key_added_twice_comes_once_and_at_the_earlier_time(queue: KeyedQueue[str], clock: FakeClock) -> None:
    queue.add("a", 10)
    queue.add("a", 2)
    queue.add("a", 20)
    clock.tick(3)
    assert await drain(queue, clock) == ["a"]
    clock.tick(30)
    assert await drain(queue, clock) == []


async def test_a_key_in_work_is_given_to_nobody_else_and_runs_again_afterwards(
    queue: KeyedQueue[str], clock: FakeClock
) -> None:
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    assert await drain(queue, clock) == []
    queue.done("a", 100)
    assert await drain(queue, clock) == ["a"]


async def test_done_asks_for_the_next_time(queue: KeyedQueue[str], clock: FakeClock) -> None:
    queue.add("a")
    await queue.get()
    queue.done("a", 15)
    clock.tick(14)
    assert await drain(queue, clock) == []
    clock.tick(1.1)
    assert await drain(queue, clock) == ["a"]


async def test_failures_back_off_up_to_a_limit_and_success_forgets_them(
    queue: KeyedQueue[str], clock: FakeClock
) -> None:
    queue.add("a")
    delays = []
    for _ in range(6):
        await queue.get()
        delays.append(queue.retry("a"))
        clock.tick(delays[-1])
    for delay, ceiling in zip(delays, (1, 2, 4, 8, 8, 8), strict=True):
        assert ceiling / 2 <= delay <= ceiling
    await queue.get()
    queue.done("a", 0)
    await queue.get()
    assert queue.retry("a") <= 1


async def test_an_event_does_not_skip_the_back_off_of_work_that_fails(queue: KeyedQueue[str], clock: FakeClock) -> None:
    queue.add("a")
    await queue.get()
    queue.add("a")
    assert queue.retry("a") > 0
    assert await drain(queue, clock) == []


async def test_a_forgotten_key_does_not_come_back(queue: KeyedQueue[str], clock: FakeClock) -> None:
    queue.add("waits", 1)
    queue.add("works")
    await queue.get()
    queue.forget("waits")
    queue.forget("works")
    queue.done("works", 0)
    assert queue.retry("works") == 0
    clock.tick(10)
    assert await drain(queue, clock) == []


async def test_a_waiting_worker_wakes_for_a_new_key_and_for_a_due_one(queue: KeyedQueue[str], clock: FakeClock) -> None:
    task = asyncio.ensure_future(queue.get())
    await settle()
    assert not task.done()
    queue.add("a", 5)
    await settle()
    assert not task.done()
    queue.add("b", 1)
    await settle()
    await clock.advance(1.1)
    assert task.result() == "b"


async def test_overdue_counts_what_waits_and_what_hangs_in_work(queue: KeyedQueue[str], clock: FakeClock) -> None:
    queue.add("waits", 5)
    assert queue.overdue_seconds() == 0
    clock.tick(20)
    assert queue.overdue_seconds() == 15
    assert queue.depth == 1
    await queue.get()
    clock.tick(40)
    assert queue.overdue_seconds() == 40
    assert queue.overdue_seconds(allowance_seconds=100) == 0
    assert queue.depth == 0


async def test_every_key_is_served_by_two_workers_and_none_by_both(clock: FakeClock) -> None:
    queue: KeyedQueue[int] = KeyedQueue(clock)
    working: set[int] = set()
    served: list[int] = []

    async def work() -> None:
        while True:
            key = await queue.get()
            assert key not in working
            working.add(key)
            await asyncio.sleep(0)
            working.remove(key)
            served.append(key)
            queue.done(key, 1000)

    workers = [asyncio.ensure_future(work()) for _ in range(2)]
    for key in [*range(10), *range(10)]:
        queue.add(key)
    await settle(200)
    assert sorted(served[:10]) == list(range(10))
    for worker in workers:
        worker.cancel()
