"""Arithmetic on histograms, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
from fakes.batching import VLLM_BOUNDS, log_normal, log_normal_percentile
from hypothesis import given
from hypothesis import strategies as st

from trimtab_operator.model.histogram import (
    below,
    bucket_of,
    count,
    merge,
    percentile,
    percentile_by_mean,
    share_over,
)
from trimtab_operator.model.signals import Buckets

INF = math.inf
TEN_EACH = Buckets((0.1, 0.2, 0.4, INF), (10.0, 20.0, 30.0, 40.0))


def test_merging_adds_up_on_the_bounds_that_all_share() -> None:
    coarse = Buckets((0.2, INF), (5.0, 6.0))
    assert merge([TEN_EACH, coarse]) == Buckets((0.2, INF), (25.0, 46.0))


def test_a_cumulative_count_never_falls_after_merging() -> None:
    assert merge([Buckets((0.1, 0.2, INF), (5.0, 4.999, 5.0))]) == Buckets((0.1, 0.2, INF), (5.0, 5.0, 5.0))


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([], id="nothing"),
        pytest.param([Buckets((0.1, INF), (1.0, 1.0)), Buckets((0.2, INF), (1.0, 1.0))], id="no-finite-bound-shared"),
        pytest.param([Buckets((0.1, 0.2), (1.0, 1.0))], id="no-infinite-bound"),
    ],
)
def test_what_cannot_be_merged_is_none(parts: list[Buckets]) -> None:
    assert merge(parts) is None


@pytest.mark.parametrize(
    ("seconds", "requests"),
    [(0.05, 5.0), (0.1, 10.0), (0.3, 25.0), (0.4, 30.0), (9.0, 30.0)],
    ids=["inside-first", "at-a-bound", "inside-third", "at-the-last", "above-the-last-finite"],
)
def test_requests_below_a_time_are_interpolated_as_prometheus_does(seconds: float, requests: float) -> None:
    assert below(TEN_EACH, seconds) == pytest.approx(requests)


def test_without_an_infinite_bound_everything_is_below_a_late_time() -> None:
    assert below(Buckets((0.1,), (7.0,)), 1.0) == 7.0


def test_the_share_over_a_time_counts_slow_requests() -> None:
    assert share_over(TEN_EACH, 0.2) == pytest.approx(0.5)
    assert count(TEN_EACH) == 40.0


def test_a_percentile_comes_with_half_its_bucket_as_uncertainty() -> None:
    found = percentile(TEN_EACH, 62.5)  # the 25th of 40: half way through 0.2..0.4
    assert found.seconds == pytest.approx(0.3)
    assert found.half_width_ratio == pytest.approx(0.1 / 0.3)


@pytest.mark.parametrize(("percent", "outside", "bound"), [(20.0, "first", 0.1), (95.0, "last", 0.4)])
def test_a_percentile_outside_the_finite_buckets_is_refused(percent: float, outside: str, bound: float) -> None:
    found = percentile(TEN_EACH, percent)
    assert (found.seconds, found.outside, found.bound_seconds) == (None, outside, bound)


@pytest.mark.parametrize(
    ("percent", "between"), [(10.0, (0.0, 0.1)), (62.5, (0.2, 0.4)), (99.0, (0.4, INF))], ids=["first", "third", "last"]
)
def test_a_percentile_lies_between_the_bounds_of_its_bucket(percent: float, between: tuple[float, float]) -> None:
    assert bucket_of(TEN_EACH, percent) == between


@pytest.mark.parametrize("percent", [75, 90, 95, 99])
@pytest.mark.parametrize("spread", [0.3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("mean", [0.03, 0.2, 0.6, 1.3, 4.0])
def test_with_its_mean_a_log_normal_percentile_comes_back_out_of_coarse_buckets(
    mean: float, spread: float, percent: float
) -> None:
    truth = log_normal_percentile(percent, mean, spread)
    found = percentile_by_mean(log_normal(mean, spread), percent, mean)
    assert found == pytest.approx(truth, rel=0.05)


COUNTS = st.lists(st.floats(0.0, 1000.0), min_size=len(VLLM_BOUNDS), max_size=len(VLLM_BOUNDS))


@given(counts=COUNTS.filter(lambda each: sum(each) >= 1.0), percent=st.integers(50, 99), mean=st.floats(0.001, 60.0))
def test_whatever_the_mean_says_the_percentile_stays_inside_its_bucket(
    counts: list[float], percent: int, mean: float
) -> None:
    cumulative = tuple(math.fsum(counts[: place + 1]) for place in range(len(counts)))
    found = percentile_by_mean(Buckets(VLLM_BOUNDS, cumulative), percent, mean)
    if found is None:
        return
    wanted = percent / 100.0 * cumulative[-1]
    upper = next(place for place, value in enumerate(cumulative) if value >= wanted * (1.0 - 1e-9))
    lower = next(place for place, value in enumerate(cumulative) if value >= wanted * (1.0 + 1e-9) or place == 16)
    assert (VLLM_BOUNDS[upper - 1] if upper else 0.0) <= found <= VLLM_BOUNDS[lower]


@pytest.mark.parametrize(
    ("buckets", "mean"),
    [
        pytest.param(TEN_EACH, 0.0, id="no-mean"),
        pytest.param(TEN_EACH, 0.4, id="all-bounds-below-the-mean"),
        pytest.param(Buckets((0.1, 0.2, INF), (0.0, 0.0, 9.0)), 0.05, id="all-of-them-above-a-bound-above-the-mean"),
        pytest.param(Buckets((0.1, INF), (4.0, 9.0)), 0.0999, id="more-than-half-of-them-above-it"),
        pytest.param(Buckets((0.1, 0.2, INF), (5.0, 5.0, 9.0)), 0.001, id="more-than-any-log-normal-has-above"),
    ],
)
def test_a_mean_that_does_not_fit_the_buckets_gives_no_percentile(buckets: Buckets, mean: float) -> None:
    assert percentile_by_mean(buckets, 95, mean) is None


# z - sqrt(z^2 - 2 ln 2) = s, and the p95 is half a second x exp(1.645 s - s^2 / 2).
@pytest.mark.parametrize(
    ("requests", "seconds"),
    [pytest.param(20.0, 0.883, id="1.96-gives-.393"), pytest.param(2000.0, 0.687, id="3.48-gives-.206")],
)
def test_nothing_above_a_bound_counts_as_half_a_request(requests: float, seconds: float) -> None:
    buckets = Buckets((0.01, 1.0, INF), (0.0, requests, requests))
    assert percentile_by_mean(buckets, 95, 0.5) == pytest.approx(seconds, rel=0.002)
