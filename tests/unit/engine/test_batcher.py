"""The batcher's promises, on arbitrary arrivals and on single cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_engine.batcher import Batch, Batcher, WaitUntil
from trimtab_engine.jobs import Item, Job, TokenRow
from trimtab_engine.settings import LiveSettings

ROW = TokenRow(np.array([101, 102], dtype=np.int32))


def any_number(length: int) -> int:
    return 256


def a_job(size: int = 1, at: float = 0.0, deadline: float = 1e9, priority: int = 0) -> Job:
    return Job(size, at, deadline, priority, on_end=lambda job: None)


def items_of(job: Job, at: float = 0.0) -> list[Item]:
    return [Item(job, index, ROW, None, at) for index in range(len(job.answers))]


arrivals = st.lists(
    st.tuples(
        st.integers(1, 12),  # items
        st.integers(0, 3),  # priority
        st.floats(0, 0.02),  # seconds since the arrival before
    ),
    max_size=30,
)
settings = st.builds(
    LiveSettings, max_batch_size=st.integers(1, 16), max_queue_delay_seconds=st.sampled_from([0.0, 0.001, 0.01, 0.1])
)


@given(arrivals, settings)
def test_every_item_leaves_once_in_order_in_time_and_in_batches_of_at_most_the_maximum(
    requests: list[tuple[int, int, float]], live: LiveSettings
) -> None:
    batcher, now, put_in, taken = Batcher(), 0.0, [], []

    def serve_until(end: float) -> None:
        """An always idle worker: asks at each moment that the batcher itself names."""
        time = now
        while True:
            decision = batcher.next_batch(time, live, any_number)
            if isinstance(decision, WaitUntil):
                assert decision.time > time
                if decision.time > end:
                    return
                time = decision.time
            elif decision is None:
                return
            else:
                taken.append((time, decision))

    for size, priority, gap in requests:
        serve_until(now + gap)
        now += gap
        new = items_of(a_job(size, now, priority=priority), now)
        batcher.add(new)
        put_in.extend(new)
    serve_until(1e6)

    left = [item for _, batch in taken for item in batch.items]
    assert len(left) == len(put_in)
    assert {id(item) for item in left} == {id(item) for item in put_in}
    assert all(1 <= len(batch.items) <= live.max_batch_size for _, batch in taken)
    # The worker is always idle here, so nobody waits longer than the delay (plus rounding).
    assert all(time - item.enqueued_at <= live.max_queue_delay_seconds + 1e-9 for time, b in taken for item in b.items)
    for priority in range(4):
        assert [id(i) for i in left if i.job.priority == priority] == [
            id(i) for i in put_in if i.job.priority == priority
        ]
    assert len(batcher) == 0


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 8))
def test_lower_priority_numbers_leave_first(priorities: list[int], size: int) -> None:
    batcher = Batcher()
    for priority in priorities:
        batcher.add(items_of(a_job(priority=priority)))
    live, left = LiveSettings(max_batch_size=size, max_queue_delay_seconds=0.0), []
    while isinstance(decision := batcher.next_batch(1.0, live, any_number), Batch):
        left += [item.job.priority for item in decision.items]
    assert left == sorted(priorities)


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(1, 4)), max_size=20), st.floats(0, 10))
def test_expire_takes_exactly_the_jobs_whose_deadline_has_passed(jobs: list[tuple[float, int]], now: float) -> None:
    batcher = Batcher()
    made = [a_job(size, deadline=deadline) for deadline, size in jobs]
    for job in made:
        batcher.add(items_of(job))
    expired = batcher.expire(now)
    assert sorted(map(id, expired)) == sorted(id(job) for job in made if job.deadline <= now)
    assert len(batcher) == sum(len(job.answers) for job in made if job.deadline > now)
    assert batcher.earliest_deadline == min((job.deadline for job in made if job.deadline > now), default=float("inf"))


def test_an_empty_queue_gives_nothing() -> None:
    assert Batcher().next_batch(0.0, LiveSettings(), any_number) is None


def test_a_lone_item_waits_for_the_delay_and_then_goes() -> None:
    batcher, live = Batcher(), LiveSettings(max_batch_size=4, max_queue_delay_seconds=0.005)
    batcher.add(items_of(a_job(), at=10.0))
    assert batcher.next_batch(10.001, live, any_number) == WaitUntil(10.005)
    assert isinstance(batcher.next_batch(10.005, live, any_number), Batch)


def test_a_full_batch_goes_at_once() -> None:
    batcher, live = Batcher(), LiveSettings(max_batch_size=4, max_queue_delay_seconds=1.0)
    batcher.add(items_of(a_job(4)))
    decision = batcher.next_batch(0.0, live, any_number)
    assert isinstance(decision, Batch)
    assert len(decision.items) == 4


def test_a_request_larger_than_the_maximum_is_split() -> None:
    batcher, live = Batcher(), LiveSettings(max_batch_size=4, max_queue_delay_seconds=0.0)
    batcher.add(items_of(a_job(10)))
    sizes = []
    while isinstance(decision := batcher.next_batch(0.0, live, any_number), Batch):
        sizes.append(len(decision.items))
    assert sizes == [4, 4, 2]


def test_a_setting_changed_between_two_batches_holds_for_the_next() -> None:
    batcher = Batcher()
    batcher.add(items_of(a_job(10)))
    sizes = []
    for size in (2, 5, 1):
        decision = batcher.next_batch(1.0, LiveSettings(max_batch_size=size), any_number)
        assert isinstance(decision, Batch)
        sizes.append(len(decision.items))
    assert sizes == [2, 5, 1]


def test_an_item_tried_again_runs_alone_and_first() -> None:
    batcher, live = Batcher(), LiveSettings(max_batch_size=8, max_queue_delay_seconds=0.0)
    batcher.add(items_of(a_job(3)))
    (again,) = items_of(a_job())
    batcher.add_alone(again)
    first, second = batcher.next_batch(0.0, live, any_number), batcher.next_batch(0.0, live, any_number)
    assert first == Batch([again])
    assert isinstance(second, Batch)
    assert len(second.items) == 3


@pytest.mark.parametrize("alone", [False, True], ids=["queued", "to be tried again"])
def test_a_discarded_job_leaves_and_its_neighbours_stay(alone: bool) -> None:
    batcher, gone, stays = Batcher(), a_job(2), a_job(2)
    for job in (gone, stays):
        for item in items_of(job):
            if alone:
                batcher.add_alone(item)
            else:
                batcher.add([item])
    batcher.discard(gone)
    assert [item.job for item in batcher.take_all()] == [stays, stays]
    assert len(batcher) == 0
