"""Out of memory in a fake world: whatever fits where, each request is answered exactly once."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trimtab_engine.batching.batch import Batch, Unfit
from trimtab_engine.batching.latency_model import LatencyModel
from trimtab_engine.batching.rule import Batcher
from trimtab_engine.errors import DeadlineExpired, EngineError, MemoryPressure, OutOfMemory
from trimtab_engine.jobs import Answer, Item, Job, TokenRow
from trimtab_engine.memory.pass_memory import PassMemory
from trimtab_engine.memory.split import SplitBatches
from trimtab_engine.settings import LiveSettings

LIVE = LiveSettings(max_batch_size=16, max_queue_delay_seconds=0.0)


def an_item(job: Job, index: int, length: int) -> Item:
    return Item(job, index, TokenRow(np.ones(length, np.int32)), None, 0.0)


def a_job(lengths: list[int], ended: Counter[int], number: int) -> Job:
    def on_end(_: Job) -> None:
        ended[number] += 1

    return Job(len(lengths), 0.0, 1e9, 0, on_end)


class FakeWorld:
    """A queue, and a device that runs out of memory beyond so many padded tokens."""

    def __init__(self, capacity_tokens: int, predicted_tokens: int) -> None:
        self.batcher, self.split, self.memory = Batcher(LatencyModel()), SplitBatches(), PassMemory()
        self._capacity_tokens = capacity_tokens
        self._predicted_tokens = predicted_tokens

    def most_items(self, length: int) -> int:
        fitting = self.memory.most_items(length, math.inf, 0.0)
        return min(16 if fitting is None else fitting, self._predicted_tokens // length)

    def fail(self, item: Item, error: EngineError) -> None:
        self.batcher.discard(item.job)
        item.job.fail(error)

    def run(self) -> None:
        while decision := self.split.next_batch(self.most_items) or self.batcher.next_batch(1.0, LIVE, self.most_items):
            if isinstance(decision, Unfit):
                self.fail(decision.item, MemoryPressure("-"))
            else:
                assert isinstance(decision, Batch)
                self.run_batch(decision.items)

    def run_batch(self, items: list[Item]) -> None:
        longest = max(item.length for item in items)
        assert len(items) <= self.most_items(longest)
        for item in items:
            item.attempts += 1
        if longest * len(items) <= self._capacity_tokens:
            for item in items:
                item.job.answer(item.index, Answer(b"", item.length, "1/base"))
            return
        self.memory.ran_out(len(items), longest, 0.0)
        failed = self.split.split(items)
        if failed is not None:
            self.fail(failed, OutOfMemory("-"))


requests = st.lists(st.lists(st.integers(1, 64), min_size=1, max_size=6), min_size=1, max_size=12)


@given(requests, st.integers(1, 400), st.integers(1, 2000))
def test_every_request_is_answered_once_and_what_fits_alone_is_served(
    lengths: list[list[int]], capacity_tokens: int, predicted_tokens: int
) -> None:
    """Whether the prediction is too high or too low."""
    ended: Counter[int] = Counter()
    jobs = [a_job(each, ended, number) for number, each in enumerate(lengths)]
    world = FakeWorld(capacity_tokens, predicted_tokens)
    for job, each in zip(jobs, lengths, strict=True):
        world.batcher.add([an_item(job, index, length) for index, length in enumerate(each)])
    world.run()
    assert ended == dict.fromkeys(range(len(jobs)), 1)
    for job, each in zip(jobs, lengths, strict=True):
        if max(each) <= min(capacity_tokens, predicted_tokens):
            assert job.error is None
        else:
            assert isinstance(job.error, OutOfMemory | MemoryPressure)


def test_one_item_that_found_no_memory_is_tried_once_more_and_then_fails() -> None:
    split, item = SplitBatches(), an_item(a_job([4], Counter(), 0), 0, 4)
    item.attempts = 1
    assert split.split([item]) is None
    assert split.next_batch(lambda _: 16) == Batch([item])
    item.attempts = 2
    assert split.split([item]) is item
    assert split.next_batch(lambda _: 16) is None


def test_groups_expire_with_their_jobs_and_are_given_back_at_the_end() -> None:
    split, job = SplitBatches(), a_job([4, 4], Counter(), 0)
    job.deadline = 5.0
    items = [an_item(job, index, 4) for index in range(2)]
    split.split(items)
    assert (len(split), split.earliest_deadline, split.expire(4.9)) == (2, 5.0, [])
    assert split.expire(5.0) == [job]
    job.fail(DeadlineExpired("-"))
    assert split.next_batch(lambda _: 16) is None
    split.split([an_item(a_job([4], Counter(), 1), 0, 4) for _ in range(4)])
    assert len(split.take_all()) == 4


def test_a_discarded_job_leaves_the_groups_and_its_neighbours_stay() -> None:
    """What is discarded no longer counts as waiting, nor sets a timer by its deadline."""
    split, gone, stays = SplitBatches(), a_job([4, 4], Counter(), 0), a_job([4, 4], Counter(), 1)
    gone.deadline = 5.0
    split.split([an_item(gone, 0, 4), an_item(gone, 1, 4), an_item(stays, 0, 4), an_item(stays, 1, 4)])
    split.split([an_item(gone, 0, 4), an_item(stays, 1, 4)])
    split.discard(gone)
    assert (len(split), split.earliest_deadline) == (3, stays.deadline)
    assert [item.job for item in split.take_all()] == [stays, stays, stays]
