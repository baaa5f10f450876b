"""Quantiles against the printed table; intervals that say what they should."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_operator.analysis import statistics
from trimtab_operator.analysis.statistics import Excess, Sample, Shares, excess


@pytest.mark.parametrize(
    ("probability", "freedom", "expected"),
    [  # Student's table (Abramowitz and Stegun, table 26.10)
        (0.75, 1, 1.000),
        (0.95, 1, 6.314),
        (0.975, 1, 12.706),
        (0.995, 1, 63.657),
        (0.975, 2, 4.303),
        (0.995, 3, 5.841),
        (0.95, 5, 2.015),
        (0.975, 5, 2.571),
        (0.9995, 5, 6.869),
        (0.975, 10, 2.228),
        (0.995, 10, 3.169),
        (0.975, 30, 2.042),
        (0.995, 60, 2.660),
        (0.975, 120, 1.980),
        (0.975, 1e6, 1.960),
    ],
)
def test_t_quantiles_are_those_of_the_printed_table(probability: float, freedom: float, expected: float) -> None:
    assert statistics.t_quantile(probability, freedom) == pytest.approx(expected, abs=6e-4)


@given(probability=st.floats(0.5, 0.9999), freedom=st.floats(1.0, 500.0))
def test_the_quantile_is_where_the_tail_says(probability: float, freedom: float) -> None:
    t = statistics.t_quantile(probability, freedom)
    assert 1.0 - statistics.t_tail(t, freedom) == pytest.approx(probability, abs=1e-9)


@given(probability=st.floats(0.9, 0.999), fewer=st.floats(1.0, 100.0), more=st.floats(0.0, 100.0))
def test_more_degrees_of_freedom_never_widen(probability: float, fewer: float, more: float) -> None:
    assert statistics.t_quantile(probability, fewer + more) <= statistics.t_quantile(probability, fewer) + 1e-9


def test_the_tail_of_an_endless_t_is_empty() -> None:
    assert statistics.t_tail(1e200, 3.0) == 0.0


def test_neighbours_of_a_random_walk_correlate_and_those_of_independent_slots_do_not() -> None:
    random = np.random.default_rng(1)
    independent = tuple(random.normal(size=2000))
    walk = tuple(np.cumsum(random.normal(size=2000)))
    assert statistics.correlation(independent) < 0.05
    assert statistics.correlation(walk) == statistics.MOST_CORRELATION
    assert statistics.correlation((1.0, -1.0) * 10) == 0.0
    assert statistics.correlation((2.0, 2.0, 2.0)) == 0.0


@pytest.mark.parametrize("true", [0.2, 0.5])
def test_the_correlation_of_few_slots_is_estimated_about_as_large_as_it_is(true: float) -> None:
    random = np.random.default_rng(2)
    found = []
    for _ in range(2000):
        noise = random.normal(size=200)
        series = [0.0]
        for each in noise:
            series.append(true * series[-1] + float(each))
        found.append(statistics.correlation(tuple(series[-12:]), tuple(series[-40:-28])))
    assert np.mean(found) >= true - 0.1


def test_correlated_slots_are_worth_fewer_independent_ones() -> None:
    found = statistics.sample((1.0, 2.0, 3.0, 4.0), neighbours=0.5)
    assert (found.mean, found.variance) == pytest.approx((2.5, 5.0 / 3.0))
    assert found.independent == pytest.approx(4.0 / 3.0)


def test_a_difference_has_welchs_interval() -> None:
    after, before = Sample(3.0, 0.04, 10.0), Sample(1.0, 0.16, 16.0)
    error = math.sqrt(0.004 + 0.01)
    assert statistics.freedom(after, before) == pytest.approx(0.014**2 / (0.004**2 / 9.0 + 0.01**2 / 15.0))
    found = statistics.difference(after, before, confidence=0.95, least_error=0.0)
    assert found.point == pytest.approx(2.0)
    assert found.high - found.low == pytest.approx(2.0 * statistics.t_quantile(0.975, 23.198) * error, rel=1e-3)


def test_slots_that_are_all_the_same_have_the_least_error_that_is_believed() -> None:
    still = Sample(1.0, 0.0, 12.0)
    found = statistics.difference(still, still, confidence=0.95, least_error=0.02)
    assert (found.point, found.high) == pytest.approx((0.0, 0.02 * 1.95996), abs=1e-6)


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    hits = 0
    for _ in range(2000):
        after, before = (
            statistics.sample(tuple(random.normal(mean, spread, size)), 0.0)
            for mean, spread, size in ((0.3, 0.05, 6), (0.0, 0.12, 12))
        )
        found = statistics.difference(after, before, confidence=0.95, least_error=0.0)
        hits += found.low <= 0.3 <= found.high
    assert 0.93 <= hits / 2000 <= 0.97


@given(variance=st.floats(1e-6, 1.0), neighbours=st.floats(0.0, 0.9), slots=st.integers(2, 60), more=st.integers(0, 60))
def test_more_slots_of_the_same_spread_never_widen(variance: float, neighbours: float, slots: int, more: int) -> None:
    worth = (1.0 - neighbours) / (1.0 + neighbours)
    few, many = (
        statistics.difference(Sample(0.1, variance, count * worth), Sample(0.0, variance, count * worth), 0.95, 0.02)
        for count in (slots, slots + more)
    )
    assert many.high - many.low <= (few.high - few.low) * (1.0 + 1e-9)


def test_two_shares_differ_by_their_ratio_and_zero_has_one_too() -> None:
    shares = Shares((10.0, 20.0), (1000.0, 1000.0))
    found = statistics.log_share_ratio(shares, None, confidence=0.95, overdispersion=1.0)
    assert found.point == pytest.approx(math.log(10.5 / 20.5))
    assert found.low < found.point < found.high < 0.1
    none = statistics.log_share_ratio(Shares((0.0, 0.0), (500.0, 500.0)), None, confidence=0.95, overdispersion=1.0)
    assert none.point == 0.0
    every = Shares((500.0, 500.0), (500.0, 500.0))
    sure = statistics.log_share_ratio(every, None, confidence=0.95, overdispersion=1.0)
    assert (sure.low, sure.high) == (0.0, 0.0)


def test_a_ratio_of_shares_that_was_there_before_is_taken_off_and_widens() -> None:
    shares = Shares((10.0, 20.0), (1000.0, 1000.0))
    alone = statistics.log_share_ratio(shares, None, confidence=0.95, overdispersion=1.0)
    found = statistics.log_share_ratio(shares, shares, confidence=0.95, overdispersion=1.0)
    assert found.point == 0.0
    assert found.high - found.low == pytest.approx(math.sqrt(2.0) * (alone.high - alone.low))


def test_the_two_proportion_test_is_the_textbooks() -> None:
    # 30 of 200 against 15 of 200: z = 2.37, one-sided p = 0.0088
    worse, better = Shares((30.0, 15.0), (200.0, 200.0)), Shares((15.0, 30.0), (200.0, 200.0))
    assert excess(worse, None, 1.0).chance == pytest.approx(0.0088, abs=2e-4)
    assert excess(better, None, 1.0).chance == pytest.approx(0.9912, abs=2e-4)
    assert excess(worse, None, 4.0).chance > 0.1


def test_an_arm_must_be_worse_by_more_than_it_was_before() -> None:
    worse, better = Shares((30.0, 15.0), (200.0, 200.0)), Shares((15.0, 30.0), (200.0, 200.0))
    assert excess(worse, worse, 1.0).chance == pytest.approx(0.5)
    assert excess(worse, better, 1.0).chance > excess(worse, None, 1.0).chance


@pytest.mark.parametrize("bad", [0.0, 50.0])
def test_shares_of_none_and_of_all_are_no_evidence(bad: float) -> None:
    found = excess(Shares((bad, bad), (50.0, 50.0)), None, 2.0)
    assert (found.chance, found.chance_at_any_look(0.2)) == (1.0, 1.0)


def test_looks_at_every_request_find_equal_arms_different_no_more_often_than_allowed() -> None:
    """One look would find one in a hundred; so many of them, judged each as if it were the only one, a third."""
    random = np.random.default_rng(11)
    ever_by_looks, ever_by_one_look = 0, 0
    for _ in range(300):
        bad = np.cumsum(random.random((2, 1000)) < 0.1, axis=1)
        counts = range(100, 1000, 10)
        found = [excess(Shares((float(bad[0, n]), float(bad[1, n])), (n + 1.0, n + 1.0)), None, 1.0) for n in counts]
        ever_by_looks += any(each.chance_at_any_look(0.2) < 0.05 for each in found)
        ever_by_one_look += any(each.chance < 0.05 for each in found)
    assert ever_by_looks <= 0.05 * 300 < ever_by_one_look


@given(scale=st.floats(0.01, 1.0), value=st.floats(0.0, 1.0), variance=st.floats(1e-6, 1.0))
def test_to_look_often_costs_evidence(scale: float, value: float, variance: float) -> None:
    found = Excess(value, variance)
    assert found.chance <= found.chance_at_any_look(scale) <= 1.0


def test_an_excess_beyond_all_doubt_is_none_of_chance() -> None:
    assert Excess(0.9, 1e-4).chance_at_any_look(0.2) < 1e-12
    assert Excess(-0.9, 1e-4).chance_at_any_look(0.2) == 1.0


@pytest.mark.parametrize(
    ("freedom", "ratio"), [pytest.param(4.0, 4.0 / 0.484, id="few"), pytest.param(30.0, 30.0 / 16.79, id="many")]
)
def test_a_variance_may_be_larger_than_few_values_show(freedom: float, ratio: float) -> None:
    """Chi-squared of 4 and of 30 degrees of freedom: 2.5 % lie below .484 and 16.79 (any table)."""
    assert statistics.variance_limit(2.0, freedom, 0.975) == pytest.approx(2.0 * ratio, rel=0.1)
    assert statistics.variance_limit(2.0, 1.0, 0.9999) == 2.0 / statistics.LEAST_CHI_SQUARED


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        pytest.param([], 0.0, id="no-series"),
        pytest.param([((5.0, 10.0),)], 0.0, id="one-slot"),
        pytest.param([((0.0, 10.0), (0.0, 10.0)), ((9.0, 9.0), (8.0, 8.0))], 0.0, id="nothing-varies"),
        pytest.param([((0.0, 10.0), (0.0, 0.0), (10.0, 10.0))], 20.0, id="all-or-nothing"),
        pytest.param([((0.0, 10.0), (12.0, 10.0))], 20.0, id="no-more-bad-than-there-are"),
        pytest.param([((0.0, 10.0), (10.0, 10.0)), ((5.0, 10.0), (5.0, 10.0))], 10.0, id="pooled"),
        pytest.param([((1.0, 10.0), (1.0, 10.0)), ((9.0, 10.0), (9.0, 10.0))], 0.0, id="each-about-its-own-share"),
    ],
)
def test_bursts_show_as_overdispersion(series: list[tuple[tuple[float, float], ...]], expected: float) -> None:
    assert statistics.overdispersion(series) == pytest.approx(expected)


def test_independent_requests_have_an_overdispersion_of_one() -> None:
    bad = np.random.default_rng(7).binomial(200, 0.2, size=4000)
    assert statistics.overdispersion([tuple((float(each), 200.0) for each in bad)]) == pytest.approx(1.0, abs=0.1)
