"""Arithmetic on histograms, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from trimtab_operator.model.histogram import below, bucket_of, count, merge, percentile, share_over
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
