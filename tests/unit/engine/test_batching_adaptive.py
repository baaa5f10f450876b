"""Adaptive batching: how long a batch that has room waits, and what comes of it on a device that drifts."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.batching.play import latencies
from bench.batching.policies import Constants, Ours
from bench.batching.trace import PACED, Device, drifting, poisson
from trimtab_engine.batching.arrivals import ArrivalRate
from trimtab_engine.batching.batch import Batch, WaitUntil
from trimtab_engine.batching.rule import Batcher
from trimtab_engine.jobs import Item, Job, TokenRow
from trimtab_engine.settings import LiveSettings

ADAPTIVE = LiveSettings(
    max_batch_size=256, max_queue_delay_seconds=1.0, batching="Adaptive", latency_target_seconds=0.030
)
CONSTANTS = Constants()
PATIENT = Device("paced", PACED.per_pass, PACED.per_row, 0.0, 60.0, 256)


def items_every(gap_seconds: float, until: float, count: int) -> list[Item]:
    times = [until - gap_seconds * place for place in range(count - 1, -1, -1)]
    row = TokenRow(np.ones(1, np.int32))
    return [Item(Job(1, at, 1e9, 0, lambda _: None), 0, row, None, at) for at in times]


def after_arrivals(gap_seconds: float, waiting: int) -> Batcher:
    """A queue that has seen 128 arrivals up to second 10, of which the last ones wait."""
    batcher, items = Batcher(CONSTANTS), items_every(gap_seconds, 10.0, 128)
    batcher.add(items)
    for item in items[: 128 - waiting]:
        batcher.discard(item.job)
    return batcher


def test_adaptive_batching_takes_all_that_waits_however_long_the_pass() -> None:
    batcher = Batcher(CONSTANTS)
    batcher.add(items_every(0.0, 0.0, 100))
    decision = batcher.next_batch(0.0, ADAPTIVE, lambda _: 256)
    assert isinstance(decision, Batch)
    assert len(decision.items) == 100  # smaller batches only made the queue longer


def test_one_item_waits_for_the_next_where_that_comes_soon_and_for_none_where_it_comes_late() -> None:
    assert isinstance(after_arrivals(0.0005, 1).next_batch(10.0, ADAPTIVE, lambda _: 256), WaitUntil)
    assert isinstance(after_arrivals(0.0100, 1).next_batch(10.0, ADAPTIVE, lambda _: 256), Batch)
    assert isinstance(after_arrivals(0.0005, 8).next_batch(10.0, ADAPTIVE, lambda _: 256), Batch)  # eight would wait


@given(st.floats(0.0001, 0.01), st.integers(1, 20), st.floats(0.002, 0.1))
def test_nobody_waits_longer_than_two_passes_cost_or_than_the_latency_target_leaves_room_for(
    gap_seconds: float, waiting: int, target_seconds: float
) -> None:
    live = LiveSettings(max_batch_size=256, batching="Adaptive", latency_target_seconds=target_seconds)
    batcher, now = after_arrivals(gap_seconds, waiting), 10.0
    while isinstance(decision := batcher.next_batch(now, live, lambda _: 256), WaitUntil):
        assert decision.time > now
        now = decision.time
        assert now - (10.0 - gap_seconds * (waiting - 1)) <= min(0.009, target_seconds / 2)
    assert isinstance(decision, Batch)


@pytest.mark.parametrize("load", [0.1, 0.3, 0.5])
def test_the_slowest_hundredth_keeps_the_target_and_the_device_works_no_longer_than_without_waiting(
    load: float,
) -> None:
    arrivals = poisson(load * PACED.saturation, 5.0, 3)
    greedy = LiveSettings(max_batch_size=256, max_queue_delay_seconds=0.0)
    took, busy = latencies(Ours(PATIENT, live=ADAPTIVE), arrivals)
    took_greedy, busy_greedy = latencies(Ours(PATIENT, live=greedy), arrivals)
    assert statistics.quantiles(took, n=100)[98] <= ADAPTIVE.latency_target_seconds
    assert busy <= busy_greedy
    assert statistics.fmean(took) <= 1.02 * statistics.fmean(took_greedy)


def test_the_target_is_kept_on_a_device_that_drifts() -> None:
    took, _ = latencies(Ours(PATIENT, live=ADAPTIVE), poisson(0.3 * PACED.saturation, 6.0, 3), slowdown=drifting(6.0))
    assert statistics.quantiles(took, n=100)[98] <= ADAPTIVE.latency_target_seconds


def test_the_rate_of_arrivals_is_that_of_the_newest_and_falls_while_none_come() -> None:
    rate = ArrivalRate()
    rate.add(items_every(0.01, 10.0, 127))
    assert rate.per_second(10.0) == 0.0  # too few
    rate.add(items_every(0.001, 10.128, 128))
    assert rate.per_second(10.128) == pytest.approx(1000.0, rel=0.02)
    assert rate.per_second(20.128) < 15.0
