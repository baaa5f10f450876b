"""What the rule drops and what it keeps, on a model that has learned 4 ms a pass and 0.4 ms a row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.batching.play import answered_in_time, goodput
from bench.batching.policies import Constants, Cork, Fixed, Ours
from bench.batching.trace import PACED, SLOW, drifting, poisson
from trimtab_engine.batching.batch import Batch
from trimtab_engine.batching.latency_model import LatencyModel, Shape
from trimtab_engine.batching.rule import Batcher, DropReason
from trimtab_engine.jobs import Item, Job, TokenRow
from trimtab_engine.settings import LiveSettings

LARGEST = 32
ROW = TokenRow(np.array([1], dtype=np.int32))
CONSTANTS = Constants()
GREEDY = LiveSettings(max_batch_size=32, max_queue_delay_seconds=0.0)


def add(batcher: Batcher, deadline: float, priority: int = 0, received_at: float = 0.0) -> Item:
    item = Item(Job(1, received_at, deadline, priority, lambda _: None), 0, ROW, None, received_at)
    batcher.add([item])
    return item


waiting = st.lists(st.tuples(st.floats(0.001, 0.1), st.integers(0, 3)), min_size=1, max_size=60)


@given(waiting)
def test_what_waits_is_dropped_or_leaves_in_a_batch_once_and_a_batch_keeps_its_deadlines_when_any_could(
    items: list[tuple[float, int]],
) -> None:
    batcher = Batcher(CONSTANTS)
    put_in = [add(batcher, deadline, priority) for deadline, priority in items]
    left: list[int] = []
    while len(batcher):
        left += [id(drop.job) for drop in batcher.give_up(0.0, GREEDY)]
        decision = batcher.next_batch(0.0, GREEDY, lambda _: LARGEST)
        if isinstance(decision, Batch):
            left += [id(item.job) for item in decision.items]
            seconds = CONSTANTS.bound(Shape(len(decision.items), len(decision.items), 1))
            assert len(decision.items) == 1 or seconds <= min(item.job.deadline for item in decision.items)
    assert sorted(left) == sorted(id(item.job) for item in put_in)


def test_a_request_that_a_pass_cannot_serve_in_time_is_dropped_before_work_and_a_fresh_one_is_always_tried() -> None:
    batcher = Batcher(CONSTANTS)
    add(batcher, deadline=1.003, received_at=0.0)
    assert [drop.reason for drop in batcher.give_up(1.0, GREEDY)] == [DropReason.UNREACHABLE]
    add(batcher, deadline=1.003, received_at=1.0)  # its whole budget is less than a pass
    assert batcher.give_up(1.0, GREEDY) == []


def test_a_head_that_forces_small_batches_gives_way_only_when_not_all_can_be_served() -> None:
    batcher = Batcher(CONSTANTS)
    add(batcher, deadline=0.0055)
    for _ in range(60):
        add(batcher, deadline=0.0300)
    assert [drop.reason for drop in batcher.give_up(0.0, GREEDY)] == [DropReason.OVERLOADED]
    roomy = Batcher(CONSTANTS)
    add(roomy, deadline=0.0055)
    for _ in range(10):
        add(roomy, deadline=0.0300)
    assert roomy.give_up(0.0, GREEDY) == []


def test_a_crowd_that_ends_by_itself_is_served_and_not_thinned_out_where_larger_batches_gain_little() -> None:
    arrivals = poisson(62.0, 40.0, 7)
    in_time = answered_in_time(Ours(SLOW), arrivals, SLOW)
    assert in_time >= 0.99 * len(arrivals)
    assert in_time >= answered_in_time(Cork(SLOW), arrivals, SLOW)


def test_a_low_priority_is_slow_but_never_starved() -> None:
    batcher, live = Batcher(LatencyModel()), LiveSettings(max_batch_size=4, max_queue_delay_seconds=0.0)
    patient = add(batcher, deadline=1e9, priority=9)
    for turn in range(40):
        for _ in range(4):
            add(batcher, deadline=1e9)
        decision = batcher.next_batch(1.0, live, lambda _: LARGEST)
        assert isinstance(decision, Batch)
        if patient in decision.items:
            assert turn >= 10
            return
    pytest.fail("it waited for ever")


def test_one_stall_does_not_make_the_model_refuse_everything() -> None:
    arrivals = poisson(800.0, 6.0, 1)
    stalled = answered_in_time(Ours(), arrivals, slowdown=lambda at: 12.0 if 2.0 < at < 2.02 else 1.0)
    assert stalled >= 0.96 * answered_in_time(Ours(), arrivals)


@pytest.mark.parametrize(("load", "floor"), [(1.3, 0.95), (1.5, 0.95)])
def test_overload_costs_little_of_the_saturation_rate_where_a_rule_that_never_refuses_collapses(
    load: float, floor: float
) -> None:
    assert goodput(Ours, load, 5.0) >= floor
    assert goodput(Ours, load, 5.0) >= goodput(Cork, load, 5.0)
    assert goodput(Fixed, load, 5.0) < 0.1


@settings(max_examples=25, deadline=None)
@given(st.floats(0.0005, 0.01), st.floats(0.0001, 0.002), st.floats(0.0, 0.0001), st.booleans())
def test_times_of_sizes_and_lengths_are_learned(
    per_pass: float, per_row: float, per_token: float, padding_costs: bool
) -> None:
    latency, draw = LatencyModel(), np.random.default_rng(1)

    def truth(shape: Shape) -> float:
        tokens = shape.padded_tokens if padding_costs else shape.tokens
        return per_pass + per_row * shape.rows + per_token * tokens

    def a_shape() -> Shape:
        lengths = draw.integers(8, 256, int(draw.integers(1, 33)))
        return Shape(len(lengths), int(lengths.sum()), int(lengths.max()))

    assert not latency.known
    for _ in range(200):
        shape = a_shape()
        latency.observe(shape, truth(shape) * draw.normal(1.0, 0.03))
    for _ in range(20):
        shape = a_shape()
        assert latency.expect(shape) == pytest.approx(truth(shape), rel=0.15)
        assert latency.bound(shape) >= latency.expect(shape)


def test_a_device_that_slows_down_is_followed() -> None:
    latency = LatencyModel()
    for factor in (1.0, 1.6):
        for turn in range(120):
            rows = 1 + turn % 16
            latency.observe(Shape(rows, rows, 1), factor * (0.004 + 0.0004 * rows))
    assert latency.expect(Shape(8, 8, 1)) == pytest.approx(1.6 * 0.0072, rel=0.1)


def test_a_batch_has_no_more_tokens_than_allowed_padding_included_and_at_least_one_item() -> None:
    batcher = Batcher(CONSTANTS)
    live = LiveSettings(max_batch_size=32, max_queue_delay_seconds=1.0, max_batch_tokens=8)
    for length in (2, 2, 3, 9):
        item = add(batcher, deadline=1e9)
        item.length = length
    sizes = []
    while isinstance(decision := batcher.next_batch(0.0, live, lambda _: LARGEST), Batch):
        sizes.append([item.length for item in decision.items])
    assert sizes[0] == [2, 2]  # with the third 9 tokens, padded
    assert batcher.next_batch(1.0, live, lambda _: LARGEST) == Batch([item])


@given(waiting, st.floats(0.0, 1.0), st.sampled_from(["Manual", "Adaptive"]))
def test_a_worker_is_never_idle_while_a_full_batch_waits(
    items: list[tuple[float, int]], delay_seconds: float, batching: str
) -> None:
    batcher = Batcher(CONSTANTS)
    for _, priority in items:
        add(batcher, deadline=1e9, priority=priority)
    live = LiveSettings(max_batch_size=16, max_queue_delay_seconds=delay_seconds, batching=batching)
    while len(batcher) >= live.max_batch_size:
        decision = batcher.next_batch(0.0, live, lambda _: LARGEST)
        assert isinstance(decision, Batch)
        assert len(decision.items) == live.max_batch_size


def test_a_head_gives_way_only_when_what_arrives_while_its_small_batch_runs_would_come_too_late() -> None:
    def dropped(arrivals_per_second: float) -> int:
        batcher, now = Batcher(CONSTANTS), 10.0
        for number in range(127, -1, -1):
            add(batcher, deadline=9.9, received_at=now - number / arrivals_per_second)  # they tell the rate
        batcher.expire(9.95)
        add(batcher, deadline=now + 0.008)
        for _ in range(12):
            add(batcher, deadline=now + 0.019)
        return len(batcher.give_up(now, GREEDY))

    assert dropped(arrivals_per_second=100.0) == 0  # 10 of 13, and then the rest
    assert dropped(arrivals_per_second=3000.0) == 1  # by then so many wait that the next pass takes too long


def stepped(largest: int = 32) -> LatencyModel:
    """Of a device on which a pass takes as long as one of the next power of two."""
    latency = LatencyModel()
    for turn in range(256):
        rows = 1 + turn * 7 % largest
        latency.observe(Shape(rows, rows, 1), 0.004 + 0.0004 * (1 << (rows - 1).bit_length()))
    return latency


def test_on_a_device_whose_time_grows_in_steps_a_batch_ends_at_a_step_and_on_an_even_one_nowhere() -> None:
    assert [stepped().efficient_rows(rows) for rows in (16, 17, 20, 32)] == [16, 16, 16, 32]
    assert [CONSTANTS.efficient_rows(rows) for rows in range(33)] == list(range(33))


def test_a_batch_ends_at_a_step_only_where_the_pass_after_it_still_keeps_the_deadlines() -> None:
    latency = stepped()
    one_pass, two_passes = latency.bound(Shape(22, 22, 1)), sum(latency.bound(Shape(n, n, 1)) for n in (16, 6))
    assert one_pass < two_passes
    for seconds_left, size in ((one_pass * 1.001, 22), (two_passes * 1.001, 16)):
        batcher = Batcher(latency)
        for _ in range(22):
            add(batcher, deadline=seconds_left)
        decision = batcher.next_batch(0.0, GREEDY, lambda _: LARGEST)
        assert isinstance(decision, Batch)
        assert len(decision.items) == size


def test_a_size_that_was_never_seen_takes_no_less_than_a_smaller_one() -> None:
    latency = stepped(largest=18)
    assert latency.expect(Shape(24, 24, 1)) >= 0.98 * latency.expect(Shape(18, 18, 1))


def test_what_the_model_learned_is_worth_more_than_constants_on_a_device_that_drifts() -> None:
    arrivals = poisson(0.7 * PACED.saturation, 6.0, 11)
    learned, constants = (
        answered_in_time(Ours(latency=latency), arrivals, slowdown=drifting(6.0))
        for latency in (LatencyModel(), Constants())
    )
    assert learned >= 1.05 * constants
