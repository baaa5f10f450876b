"""Batches of items that differ in length: 4 ms a pass, 0.1 ms a row, 5 us a token or a place of the padded batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.batching.play import answered_in_time
from bench.batching.policies import Cork, Ours
from bench.batching.trace import DENSE, mixed
from bench.batching.trace import PACKED as WITHOUT_PADDING
from trimtab_engine.batching.batch import Batch
from trimtab_engine.batching.latency_model import LatencyModel, Shape, shape_of
from trimtab_engine.batching.likeness import like_the_first
from trimtab_engine.batching.rule import Batcher
from trimtab_engine.jobs import Item, Job, TokenRow
from trimtab_engine.settings import LiveSettings

MOST = 8
LIVE = LiveSettings(max_batch_size=MOST, max_queue_delay_seconds=0.0)


def a_model(padding_costs: bool) -> LatencyModel:
    latency, draw = LatencyModel(), np.random.default_rng(1)
    for _ in range(200):
        shape = shape_of(draw.integers(1, draw.choice([9, 65, 257]), int(draw.integers(1, 33))).tolist())
        tokens = shape.padded_tokens if padding_costs else shape.tokens
        latency.observe(shape, 0.004 + 0.0001 * shape.rows + 5e-6 * tokens)
    return latency


PADDED, PACKED = a_model(padding_costs=True), a_model(padding_costs=False)


def an_item(length: int, deadline: float = 1e9) -> Item:
    return Item(Job(1, 0.0, deadline, 0, lambda _: None), 0, TokenRow(np.ones(length, np.int32)), None, 0.0)


def next_items(batcher: Batcher, now: float = 0.0) -> list[Item]:
    decision = batcher.next_batch(now, LIVE, lambda _: MOST)
    assert isinstance(decision, Batch)
    return decision.items


lengths = st.lists(st.integers(1, 256), min_size=1, max_size=40)


@given(lengths, st.lists(st.integers(1, 256), max_size=4))
def test_nobody_is_passed_over_more_often_than_there_were_items_before_him(first: list[int], later: list[int]) -> None:
    batcher = Batcher(PADDED)
    items = [an_item(length, deadline=1e6 + place) for place, length in enumerate(first)]
    batcher.add(items)
    left: dict[int, int] = {}
    for turn in range(len(items)):
        if len(left) == len(items):
            break
        left |= {id(item): turn for item in next_items(batcher) if item.job.deadline < 2e6}
        if later:
            batcher.add([an_item(length, deadline=2e6 + turn) for length in later])
    assert all(left[id(item)] <= place for place, item in enumerate(items))


@given(st.lists(st.tuples(st.integers(1, 256), st.floats(0.005, 0.2)), min_size=1, max_size=40))
def test_a_batch_keeps_its_earliest_deadline_by_the_model_unless_one_item_alone_would_not(
    waiting: list[tuple[int, float]],
) -> None:
    batcher = Batcher(PADDED)
    batcher.add([an_item(length, deadline) for length, deadline in waiting])
    while len(batcher):
        items = next_items(batcher)
        seconds = PADDED.bound(shape_of([item.length for item in items]))
        assert len(items) == 1 or seconds <= min(item.job.deadline for item in items)


@given(lengths)
def test_those_that_go_together_include_the_first_and_keep_the_order(waiting: list[int]) -> None:
    items = [an_item(length) for length in waiting]
    places = [items.index(item) for item in like_the_first(items, MOST, PADDED)]
    assert places == sorted(places)
    assert places[0] == 0


@given(st.lists(st.integers(1, 256), min_size=1, max_size=MOST))
def test_where_all_fit_into_one_batch_all_groups_one_after_another_take_no_longer(waiting: list[int]) -> None:
    items, seconds = [an_item(length) for length in waiting], 0.0
    left = items
    while left:
        together = like_the_first(left, MOST, PADDED)
        seconds += PADDED.bound(shape_of([item.length for item in together]))
        left = [item for item in left if item not in together]
    assert seconds <= 1.001 * PADDED.bound(shape_of(waiting))


def test_short_items_do_not_wait_for_a_long_one_where_padding_costs_and_share_its_batch_where_it_does_not() -> None:
    sizes = {}
    for name, latency in (("padded", PADDED), ("packed", PACKED)):
        batcher = Batcher(latency)
        batcher.add([an_item(length, deadline=1e6 + place) for place, length in enumerate([8, 8, 256, 8, 8, 8, 256])])
        sizes[name] = [item.length for item in next_items(batcher)]
    assert sizes == {"padded": [8, 8, 8, 8, 8], "packed": [8, 8, 256, 8, 8, 8, 256]}


def test_a_long_one_whose_padding_costs_hardly_more_than_a_pass_of_its_own_shares_the_batch() -> None:
    items = [an_item(length) for length in (40, 40, 256, 40, 40)]
    assert like_the_first(items, MOST, PADDED) == items  # 10.9 ms together, 10.6 ms in two passes


def test_items_of_mixed_lengths_are_answered_in_time_at_a_rate_at_which_a_rule_blind_to_length_is_late() -> None:
    arrivals = mixed(1000.0, 5.0, 3)
    assert answered_in_time(Ours(DENSE), arrivals, DENSE) >= 0.99 * len(arrivals)
    assert answered_in_time(Cork(DENSE), arrivals, DENSE) <= 0.8 * len(arrivals)


def test_requests_are_not_given_up_for_larger_batches_where_the_long_ones_that_cannot_be_served_go_by_themselves() -> (
    None
):
    arrivals = mixed(37.0, 40.0, 5)
    in_time = answered_in_time(Ours(WITHOUT_PADDING), arrivals, WITHOUT_PADDING)
    assert in_time >= 0.985 * len(arrivals)
    assert in_time >= 1.03 * answered_in_time(Cork(WITHOUT_PADDING), arrivals, WITHOUT_PADDING)


def test_what_padding_costs_is_told_from_what_tokens_cost() -> None:
    alone, beside_a_long_one = Shape(8, 64, 8), Shape(8, 7 * 8 + 256, 256)
    assert PACKED.expect(beside_a_long_one) == pytest.approx(0.004 + 0.0008 + 5e-6 * (56 + 256), rel=0.1)
    assert PADDED.expect(beside_a_long_one) == pytest.approx(0.004 + 0.0008 + 5e-6 * 8 * 256, rel=0.1)
    assert PADDED.expect(alone) == pytest.approx(PACKED.expect(alone), rel=0.1)
