"""Memory per batch: learned from measured passes as an upper bound, lowered where memory ran out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab_engine.memory.pass_memory import LOWERED_SECONDS, MARGIN, RAMP, PassMemory

SHAPES = st.tuples(st.integers(1, 256), st.integers(1, 512))
MEBIBYTE = 1 << 20


def world(items: int, length: int) -> int:
    """What a pass takes in a world like that of an encoder."""
    return 3 * MEBIBYTE + 9000 * items * length + 40 * items * length * length


def learned(*shapes: tuple[int, int]) -> PassMemory:
    memory = PassMemory()
    for items, length in shapes:
        memory.learn(items, length, world(items, length))
    return memory


def test_nothing_is_predicted_before_something_was_measured() -> None:
    assert PassMemory().predict(1, 16) is None
    assert PassMemory().most_items(16, 1e9, now=0.0) == 1


def test_without_a_limit_nothing_is_capped() -> None:
    assert learned((1, 16)).most_items(512, math.inf, now=0.0) is None


def test_a_few_passes_tell_what_others_take() -> None:
    memory = learned((1, 16), (4, 16), (8, 64), (8, 256), (32, 64))
    for items, length in ((16, 128), (64, 16), (32, 256)):
        predicted = memory.predict(items, length)
        assert predicted is not None
        assert predicted / world(items, length) == pytest.approx(MARGIN, rel=0.02)


@settings(max_examples=30)
@given(st.lists(SHAPES, min_size=1, max_size=12), st.lists(st.floats(0.5, 2.0), min_size=12, max_size=12))
def test_no_pass_that_was_measured_once_lies_above_its_prediction(
    shapes: list[tuple[int, int]], noise: list[float]
) -> None:
    memory = PassMemory()
    cells = {(items.bit_length(), length.bit_length()): (items, length) for items, length in shapes}
    measured = {shape: int(world(*shape) * factor) for shape, factor in zip(cells.values(), noise, strict=False)}
    for (items, length), extra in measured.items():
        memory.learn(items, length, extra)
    for (items, length), extra in measured.items():
        predicted = memory.predict(items, length)
        assert predicted is not None
        assert predicted >= extra


@settings(max_examples=30)
@given(st.lists(SHAPES, min_size=1, max_size=8), SHAPES, st.integers(0, 64), st.integers(0, 64))
def test_the_prediction_grows_with_items_and_length(
    shapes: list[tuple[int, int]], shape: tuple[int, int], more_items: int, more_length: int
) -> None:
    memory = learned(*shapes)
    small, large = memory.predict(*shape), memory.predict(shape[0] + more_items, shape[1] + more_length)
    assert small is not None
    assert large is not None
    assert small <= large


@settings(max_examples=30)
@given(st.lists(SHAPES, min_size=1, max_size=8), st.integers(1, 512), st.floats(1e6, 1e10))
def test_a_batch_of_the_size_that_is_allowed_fits_into_the_room(
    shapes: list[tuple[int, int]], length: int, room: float
) -> None:
    memory = learned(*shapes)
    largest = max(items * rows for items, rows in shapes)
    longest = max(rows for _, rows in shapes)
    most = memory.most_items(length, room, now=0.0)
    assert most is not None
    if most == 0:  # not even one: known, not guessed
        predicted = memory.predict(1, length)
        assert predicted is not None
        assert predicted > room
    elif length <= longest:
        predicted = memory.predict(most, length)
        assert predicted is not None
        assert predicted <= room * (1 + 1e-9)
        assert most * length <= max(length, RAMP * largest)


def test_one_item_longer_than_anything_measured_is_let_through_to_be_measured() -> None:
    assert learned((1, 16), (1, 8)).most_items(512, 4 * MEBIBYTE, now=0.0) == 1


def test_running_out_halves_the_cap_at_that_length_for_a_while_and_longer_the_next_time() -> None:
    memory = learned((64, 64))
    memory.ran_out(32, 60, now=0.0)
    assert memory.most_items(60, math.inf, now=1.0) == 16
    assert memory.most_items(200, math.inf, now=1.0) is None
    assert memory.most_items(60, math.inf, now=LOWERED_SECONDS) is None
    memory.ran_out(1, 60, now=LOWERED_SECONDS)
    assert memory.most_items(60, math.inf, now=2.9 * LOWERED_SECONDS) == 1
    assert memory.most_items(60, math.inf, now=3 * LOWERED_SECONDS) is None


def test_the_past_is_forgotten_within_a_cell_and_memory_of_it_is_bounded() -> None:
    memory = learned((4, 16))
    for _ in range(20):
        memory.learn(4, 16, 1000)
    assert memory.samples == 8
    assert memory.predict(4, 16) == pytest.approx(1000 * MARGIN)
