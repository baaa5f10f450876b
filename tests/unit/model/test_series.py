"""What part of a time a series covers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from fakes.builders import NOW, a_series

from trimtab_operator.model.series import (
    covered_seconds,
    covers,
    mean,
    peak,
    points_since,
    usual_range,
)
from trimtab_operator.model.signals import Point, Series, Signal, SignalState, spacing_seconds

FULL = a_series(Signal.REQUESTS_PER_SECOND, 5.0, seconds=600.0)
HOLE = replace(FULL, points=tuple(point for point in FULL.points if not NOW - 400 < point.at < NOW - 200))


@pytest.mark.parametrize(
    ("series", "covered"),
    [
        pytest.param(FULL, 600.0, id="full"),
        pytest.param(HOLE, 390.0, id="a-hole-of-210-seconds"),
        pytest.param(replace(FULL, points=FULL.points[:4]), 45.0, id="ended-long-ago"),
        pytest.param(None, 0.0, id="absent"),
        pytest.param(replace(FULL, state=SignalState.ERROR), 0.0, id="failed"),
        pytest.param(replace(FULL, points=FULL.points[:1]), 0.0, id="one-point"),
        pytest.param(replace(FULL, points=FULL.points[20:]), 315.0, id="younger-than-the-time"),
    ],
)
def test_covered_seconds_leaves_holes_out(series: Series | None, covered: float) -> None:
    assert covered_seconds(series, NOW - 600.0, NOW) == pytest.approx(covered)


def test_a_series_covers_a_time_up_to_a_spacing_at_each_end() -> None:
    assert covers(FULL, NOW - 630.0, NOW)
    assert not covers(FULL, NOW - 700.0, NOW)
    assert not covers(HOLE, NOW - 600.0, NOW)
    assert not covers(None, NOW - 600.0, NOW)


@pytest.mark.parametrize("now", [100.0, 103.0, 109.0])
def test_a_time_hardly_longer_than_the_spacing_is_covered_wherever_the_points_fall(now: float) -> None:
    grid = replace(FULL, points=tuple(Point(15.0 * number, 1.0) for number in range(7)))  # the last one at 90
    assert covered_seconds(grid, now - 20.0, now) == pytest.approx(20.0)
    assert covers(grid, now - 20.0, now)
    assert not covers(grid, now + 100.0, now + 120.0)
    assert covered_seconds(grid, now + 100.0, now + 120.0) == 0.0


def test_points_since_and_their_mean_and_peak() -> None:
    rising = replace(FULL, points=(Point(1.0, 1.0), Point(2.0, 5.0), Point(3.0, 5.0)))
    assert points_since(rising, 2.0) == (Point(2.0, 5.0), Point(3.0, 5.0))
    assert mean(points_since(rising, 0.0)) == pytest.approx(11.0 / 3.0)
    assert peak(points_since(rising, 0.0)) == Point(2.0, 5.0)
    assert spacing_seconds(rising.points) == 1.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -2e15], ids=["nan", "infinite", "beyond-what-could-be"])
def test_a_sample_that_cannot_be_is_no_point(value: float) -> None:
    spoilt = replace(FULL, points=(Point(1.0, 1.0), Point(2.0, value), Point(3.0, 5.0)))
    assert points_since(spoilt, 0.0) == (Point(1.0, 1.0), Point(3.0, 5.0))
    assert spoilt.spacing_seconds == 2.0


def test_without_points_there_is_neither_mean_nor_peak_nor_spacing() -> None:
    assert (mean(()), peak(()), spacing_seconds(())) == (None, None, None)


def test_the_usual_range_leaves_out_a_tenth_at_each_end() -> None:
    points = tuple(Point(float(number), float(number)) for number in range(10, 30))
    assert usual_range(points) == (12.0, 27.0)
    assert all(math.isnan(bound) for bound in usual_range(()))
