"""The shift of a series of slots: Welch's where they are alike, and sure of a sign that every slot shows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_operator.analysis.shift import FARTHEST, LEAST_REACH, REACH, shift
from trimtab_operator.analysis.statistics import correlation, difference, sample, t_quantile

LEAST_ERROR = 0.02
CONFIDENCE = 0.9833
RUN_IN = (0.02, 0.02, 0.0, 0.01, -0.01, -0.04, 0.05, -0.01, -0.03)
CACHED = (
    -0.29,
    -0.56,
    -0.51,
    -1.12,
    -0.76,
    -0.95,
    -0.76,
    -1.21,
    -1.09,
    -1.22,
    -1.19,
    -0.81,
    -0.97,
    -1.07,
    -0.45,
    -0.23,
)
"""Measured in the demo, 10 s each: a cache that hits 8 to 70 % of the inputs, as they happen to repeat."""


@pytest.mark.parametrize("slots", [5, 11, 16])
def test_a_change_that_helps_in_every_slot_helps_though_by_how_much_varies(slots: int) -> None:
    found = shift(CACHED[:slots], RUN_IN, CONFIDENCE, LEAST_ERROR)
    assert found.low < found.point < found.high < 0.0
    assert -1.1 < found.point < -0.5


DRIFTING = (-0.215, -0.187, -0.088, -0.017, 0.055, 0.047, -0.014, -0.063)
ALL_HITS = (-1.65, -3.0, -3.0, -3.0, -3.0, -3.0, -3.0, -3.0, -3.0)
"""Measured in a run of the cluster's scenarios: load that sets in, then a cache that answers all but everything."""


def test_a_change_beyond_all_that_was_before_is_seen_though_the_run_in_drifted() -> None:
    found = shift(ALL_HITS, DRIFTING, CONFIDENCE, LEAST_ERROR)
    assert found.low < found.point < found.high < -0.9


def test_slots_on_both_sides_of_a_run_in_that_drifted_tell_nothing() -> None:
    found = shift((*ALL_HITS[2:], 1.65, 1.65), DRIFTING, CONFIDENCE, LEAST_ERROR)
    assert found.low < 0.0 < found.high


def test_a_change_by_far_more_than_the_slots_vary_is_seen_from_nine_of_them() -> None:
    random = np.random.default_rng(3)
    for _ in range(100):
        before, after = (tuple(random.normal(mean, 0.1, 9)) for mean in (0.0, 0.8))
        assert shift(after, before, CONFIDENCE, LEAST_ERROR).low > 0.0


def test_one_slot_in_eight_may_miss_such_a_change() -> None:
    before, after = (-0.1, -0.05, 0.0, 0.05, 0.1) * 2, (0.0, 0.45, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85)
    assert shift(after, before, CONFIDENCE, LEAST_ERROR).low > 0.0


def test_slots_far_outside_of_a_run_in_of_a_few_prove_nothing() -> None:
    """Five slots tell little of how far another one may lie."""
    before, after = (-0.1, -0.05, 0.0, 0.05, 0.1), (0.30, 0.45, 0.35, 0.5, 0.4)
    assert (
        shift(after, before, 1.0 - 1e-5, LEAST_ERROR).low < 0.0 < shift(after, before * 3, 1.0 - 1e-5, LEAST_ERROR).low
    )


def test_a_few_slots_that_happen_to_be_alike_are_not_believed_to_be_stiller_than_the_run_in() -> None:
    before, after = (-0.2, 0.1, -0.1, 0.2) * 3, (-0.11, -0.1, -0.1, -0.1, -0.11)
    assert shift(after, before, 0.95, 0.0).high > 0.0


def test_a_change_that_helps_as_often_as_it_hurts_does_neither() -> None:
    found = shift(tuple(each * (-1) ** number for number, each in enumerate(CACHED)), RUN_IN, CONFIDENCE, LEAST_ERROR)
    assert found.low < 0.0 < found.high


def test_one_wild_slot_does_not_hide_what_the_others_show() -> None:
    after = (-0.3, -0.28, -0.31, -0.29, 3.0, *(-0.3, -0.32, -0.29, -0.27) * 3)
    found = shift(after, RUN_IN, CONFIDENCE, LEAST_ERROR)
    neighbours = correlation(after, RUN_IN)
    assert found.high < 0.0 < difference(sample(after, neighbours), sample(RUN_IN, neighbours), CONFIDENCE, 0.0).high


def test_slots_within_reach_of_each_other_have_welchs_interval() -> None:
    random = np.random.default_rng(1)
    before, after = (tuple(random.normal(mean, 0.04, 12)) for mean in (0.01, -0.03))
    neighbours = correlation(after, before)
    welch = difference(sample(after, neighbours), sample(before, neighbours), CONFIDENCE, LEAST_ERROR)
    found = shift(after, before, CONFIDENCE, LEAST_ERROR)
    assert (found.point, found.low, found.high) == pytest.approx((welch.point, welch.low, welch.high), abs=2e-4)


def test_an_end_that_cannot_be_told_is_as_far_as_it_gets() -> None:
    found = shift((-1.0, 1.0), (0.5, -0.5), CONFIDENCE, LEAST_ERROR)
    assert (found.low, found.high) == (found.point - FARTHEST, found.point + FARTHEST)


@pytest.mark.parametrize("spread_after", [0.1, 0.3])
@pytest.mark.parametrize("neighbours", [0.0, 0.2])
def test_equal_arms_are_seldom_called_different(spread_after: float, neighbours: float) -> None:
    random = np.random.default_rng(5)
    wrong = 0
    for _ in range(300):
        series = [float(random.normal())]
        for each in random.normal(size=20):
            series.append(neighbours * series[-1] + (1.0 - neighbours**2) ** 0.5 * float(each))
        before, after = tuple(0.1 * each for each in series[:9]), tuple(spread_after * each for each in series[10:])
        found = shift(after, before, CONFIDENCE, LEAST_ERROR)
        wrong += not found.low <= 0.0 <= found.high
    assert wrong <= 300 // 20


@given(
    after=st.lists(st.floats(-3.0, 3.0), min_size=2, max_size=20),
    before=st.lists(st.floats(-3.0, 3.0), min_size=2, max_size=20),
)
def test_the_estimate_lies_within_its_interval_and_not_far_from_the_slots(
    after: list[float], before: list[float]
) -> None:
    found = shift(tuple(after), tuple(before), CONFIDENCE, LEAST_ERROR)
    centre = sum(before) / len(before)
    reach = max(LEAST_REACH, t_quantile(REACH, len(before) - 1.0) * 1.3 * float(np.std(before, ddof=1)))
    assert found.low <= found.point <= found.high
    assert min(after) - reach <= found.point + centre <= max(after) + reach
