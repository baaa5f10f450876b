"""The robust line, against numbers worked out by hand, by its properties, and by how often its interval is right."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_operator.model.slope import Slope, least_known, slopes

HOUR = 3600.0
finite = st.floats(-1e6, 1e6)


def slope(*values: float) -> Slope | None:
    (found,) = slopes(np.array([values]), HOUR)
    return found


def known(*values: float) -> Slope:
    found = slope(*values)
    assert found is not None
    return found


def test_a_straight_line_is_found_exactly() -> None:
    assert known(1.0, 3.0, 5.0, 7.0, 9.0, 11.0) == Slope(per_hour=2.0, low=2.0, high=2.0, level=11.0)


def test_the_slope_is_the_median_of_all_pairs_and_its_interval_their_ranks() -> None:
    # Of 1, 2, 4, 7, 11 the ten slopes are 1, 1.5, 2, 2, 2.5, 2.5, 3, 3, 3.5, 4. Five values leave the outermost ranks.
    found = known(1.0, 2.0, 4.0, 7.0, 11.0)
    assert (found.per_hour, found.low, found.high) == (2.5, 1.0, 4.0)
    assert found.level == 9.5  # each value carried on to the end is 11, 9.5, 9, 9.5 and 11


def test_the_interval_of_many_values_leaves_the_outer_ranks_out() -> None:
    # 12 values: 66 pairs; 2.576 x sqrt(12 x 11 x 29 / 18) = 37.6 ranks; (66 - 37.6) / 2 = 14: the 14th from both ends.
    values = [0.0, 3.0, 1.0, 6.0, 2.0, 9.0, 4.0, 8.0, 5.0, 11.0, 7.0, 10.0]
    pairs = sorted((b - a) / (j - i) for i, a in enumerate(values) for j, b in enumerate(values) if i < j)
    assert (known(*values).low, known(*values).high) == (pairs[13], pairs[-14])


@pytest.mark.parametrize(("step", "per_hour"), [(300.0, 12.0), (86_400.0, 1.0 / 24.0)])
def test_the_slope_is_per_hour_whatever_the_step(step: float, per_hour: float) -> None:
    (found,) = slopes(np.arange(6.0)[None, :], step)
    assert found is not None
    assert found.per_hour == pytest.approx(per_hour)


@given(a=finite, b=st.floats(-1e3, 1e3), wild=finite, place=st.integers(0, 6))
def test_one_wild_value_does_not_turn_the_line(a: float, b: float, wild: float, place: int) -> None:
    values = [a + b * step for step in range(7)]
    values[place] = wild
    found = known(*values)
    assert found.per_hour == pytest.approx(b, abs=1e-6 * (1.0 + abs(a)))
    assert found.low - 1e-9 <= found.per_hour <= found.high + 1e-9


@given(values=st.lists(finite, min_size=6, max_size=12), shift=finite)
def test_a_shift_moves_the_level_and_nothing_else(values: list[float], shift: float) -> None:
    before, after = known(*values), known(*(value + shift for value in values))
    near = 1e-9 * (1.0 + max(map(abs, values)) + abs(shift))
    assert after.per_hour == pytest.approx(before.per_hour, abs=near)
    assert after.level == pytest.approx(before.level + shift, abs=10 * near)


@given(values=st.lists(finite, min_size=6, max_size=12))
def test_time_turned_round_turns_the_slope_and_its_interval_round(values: list[float]) -> None:
    there, back = known(*values), known(*reversed(values))
    assert (back.per_hour, back.low, back.high) == (-there.per_hour, -there.high, -there.low)


@given(values=st.lists(st.one_of(finite, st.just(math.nan)), min_size=7, max_size=7))
def test_gaps_are_no_values_and_too_many_of_them_leave_no_slope(values: list[float]) -> None:
    there = [value for value in values if not math.isnan(value)]
    found = slope(*values)
    assert (found is None) == (len(there) < 5)
    if found is not None:
        assert all(map(math.isfinite, (found.per_hour, found.low, found.high, found.level)))


def test_a_gap_in_a_line_changes_nothing() -> None:
    assert known(1.0, 2.0, math.nan, 4.0, 5.0, math.nan, 7.0) == Slope(1.0, 1.0, 1.0, 7.0)


def test_each_row_has_its_own_gaps() -> None:
    rows = np.array([[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [math.nan, math.nan, math.nan, 0.0, 1.0, 2.0]])
    first, second = slopes(rows, HOUR)
    assert first is not None
    assert (first.per_hour, second) == (1.0, None)


@pytest.mark.parametrize(("steps", "needed"), [(12, 8), (7, 5)])
def test_two_of_three_steps_must_be_known(steps: int, needed: int) -> None:
    assert least_known(steps) == needed


@pytest.mark.parametrize(("steps", "most"), [(7, 1.0), (12, 0.999)], ids=["of few steps more often", "of twelve"])
def test_the_interval_holds_the_true_slope_as_often_as_it_says(steps: int, most: float) -> None:
    random = np.random.default_rng(1)
    rows = 0.3 * np.arange(steps) + random.standard_t(3, size=(2000, steps))
    found = [each for each in slopes(rows, HOUR) if each is not None]
    held = sum(each.low <= 0.3 <= each.high for each in found) / len(found)
    assert 0.985 <= held <= most
