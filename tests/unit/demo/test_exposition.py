"""Increases and histograms from raw samples, with numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from dev.demo.exposition import Histogram, Series, histogram, increase, rate

EDGES = (0.1, 0.2, 0.4, math.inf)
FIFTY = Histogram(EDGES, (10.0, 30.0, 49.0, 50.0))


def series(*samples: tuple[float, float], **labels: str) -> Series:
    return Series(labels, samples)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        pytest.param([(100, 5.0), (105, 8.0), (110, 20.0)], 15.0, id="there before the window"),
        pytest.param([(90, 1.0), (95, 3.0), (105, 8.0)], 5.0, id="what was counted earlier is not of the window"),
        pytest.param([(130, 7.0), (135, 9.0)], 9.0, id="born in the window: began at zero"),
        pytest.param([(130, 7.0)], 7.0, id="born in the window, scraped once"),
        pytest.param([(100, 50.0), (105, 60.0), (110, 3.0), (115, 4.0)], 14.0, id="counter reset"),
        pytest.param([(100, 5.0)], 0.0, id="one sample from before"),
        pytest.param([], 0.0, id="no sample"),
    ],
)
def test_an_increase_counts_births_and_resets(samples: list[tuple[float, float]], expected: float) -> None:
    assert increase(series(*samples), 100) == expected


def test_buckets_of_all_pods_add_up_by_their_edge() -> None:
    found = histogram(
        [
            series((100, 1.0), (105, 3.0), le="0.1"),
            series((100, 1.0), (105, 6.0), le="+Inf"),
            series((130, 4.0), (135, 4.0), le="0.1"),
            series((130, 4.0), (135, 5.0), le="+Inf"),
        ],
        100,
    )
    assert found.edges == (0.1, math.inf)
    assert found.cumulative == (6.0, 10.0)
    assert found.total == 10.0


@pytest.mark.parametrize(("value", "bucket"), [(0.05, 0), (0.1, 0), (0.15, 1), (0.4, 2), (9.0, 3)])
def test_an_edge_belongs_to_the_bucket_below_it(value: float, bucket: int) -> None:
    assert FIFTY.bucket_of(value) == bucket


@pytest.mark.parametrize(("fraction", "bucket"), [(0.2, 0), (0.21, 1), (0.95, 2), (0.99, 3)])
def test_a_percentile_lies_in_the_first_bucket_that_covers_it(fraction: float, bucket: int) -> None:
    assert FIFTY.percentile_bucket(fraction) == bucket


def test_nothing_observed_has_no_percentile() -> None:
    assert Histogram(EDGES, (0.0, 0.0, 0.0, 0.0)).percentile_bucket(0.95) is None


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        pytest.param(0.2, 30.0, id="on an edge"),
        pytest.param(0.3, 39.5, id="half way between edges"),
        pytest.param(0.05, 5.0, id="in the first bucket"),
        pytest.param(2.0, 49.0, id="above the last finite edge"),
    ],
)
def test_counts_within_a_limit_are_interpolated(limit: float, expected: float) -> None:
    assert FIFTY.count_within(limit) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        pytest.param([(100, 5.0), (110, 8.0), (120, 25.0)], 1.0, id="over the time between first and last"),
        pytest.param([(100, 50.0), (110, 60.0), (120, 5.0)], 0.75, id="counter reset"),
        pytest.param([(100, 5.0)], None, id="one sample tells no rate"),
        pytest.param([(100, 5.0), (100, 6.0)], None, id="no time between"),
        pytest.param([], None, id="no sample"),
    ],
)
def test_a_rate_is_reckoned_between_samples_and_not_to_the_edges(
    samples: list[tuple[float, float]], expected: float | None
) -> None:
    assert rate(series(*samples)) == expected
