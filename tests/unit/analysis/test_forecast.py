"""Demand at the lead time: what is learned from earlier days, and when nothing is better than no change."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_operator.analysis.forecast import (
    DAY_SECONDS,
    FEWEST_KNOWN,
    MOST_ERRORS,
    TooShortError,
    forecast,
    pinball,
    quantile_levels,
)
from trimtab_operator.model.arrays import Floats

STEP = 600.0
DAY = round(DAY_SECONDS / STEP)
QUANTILES = (0.1, 0.5, 0.9)


def a_week(*, days: float = 7.0, swing: float = 1.0, noise: float = 0.0, seed: int = 0) -> Floats:
    """Demand around 100 that swings over the day, lowest at midnight."""
    times = np.arange(round(days * DAY))
    logs = -swing * np.cos(2.0 * np.pi * times / DAY) + noise * np.random.default_rng(seed).standard_normal(len(times))
    return np.asarray(100.0 * np.exp(logs))


def test_a_rise_that_came_every_morning_is_expected_before_it_comes() -> None:
    whole = a_week(days=7.5)
    now = round(7.25 * DAY)  # six in the morning: steepest
    found = forecast(whole[: now + 1], STEP, 6, QUANTILES)
    assert found.expected == pytest.approx(whole[now + 6], rel=0.03)
    assert whole[now + 6] > 1.2 * whole[now]
    assert found.trust == 1.0
    assert found.error_ratio < 0.5


def test_demand_without_a_pattern_is_expected_to_stay_with_a_spread_as_it_had() -> None:
    steps = np.random.default_rng(1).standard_normal(7 * DAY)
    wandering = 100.0 * np.exp(0.05 * np.cumsum(steps))
    found = forecast(wandering, STEP, 1, QUANTILES)
    assert found.expected == pytest.approx(wandering[-1], rel=0.03)
    assert 0.03 < math.log(found.quantiles[2] / found.expected) < 0.1
    assert found.quantiles[0] < found.quantiles[1] < found.quantiles[2]


def test_one_high_value_of_a_noisy_demand_is_expected_to_go_back() -> None:
    noisy = a_week(swing=0.0, noise=0.5)
    noisy[-1] = 400.0
    assert forecast(noisy, STEP, 1, QUANTILES).expected < 200.0


def test_a_pattern_that_ended_is_soon_no_longer_believed() -> None:
    ended = np.concatenate([a_week(), np.full(3 * DAY, 100.0) + np.arange(3 * DAY) % 2])
    found = forecast(ended, STEP, 6, QUANTILES)
    assert found.expected == pytest.approx(100.5, rel=0.02)


@pytest.mark.parametrize(
    ("misses", "levels"),
    [
        pytest.param("shares", (1800.0, 2000.0, 2200.0), id="errors that grow with demand"),
        pytest.param("amounts", (1990.0, 2000.0, 2010.0), id="errors that are the same at any demand"),
    ],
)
def test_quantiles_are_of_the_kind_of_error_that_there_was(misses: str, levels: tuple[float, ...]) -> None:
    expected = np.tile(np.repeat([100.0, 500.0], 3), 20)
    missed = np.tile([-1.0, 0.0, 1.0], 40)
    came = expected * (1.0 + 0.1 * missed) if misses == "shares" else expected + 10.0 * missed
    assert quantile_levels(expected, came, 2000.0, QUANTILES) == pytest.approx(levels)


def test_amounts_leave_no_demand_below_nothing() -> None:
    expected = np.tile([100.0, 500.0], 50)
    came = expected + np.tile([-60.0, -60.0, 60.0, 60.0], 25)
    assert quantile_levels(expected, came, 10.0, QUANTILES).tolist()[0] == 0.0


def test_errors_of_long_ago_are_forgotten() -> None:
    expected = np.full(MOST_ERRORS + 50, 100.0)
    came = expected.copy()
    came[:50] = 1000.0
    assert quantile_levels(expected, came, 100.0, QUANTILES).tolist() == [100.0, 100.0, 100.0]


def test_missing_low_costs_a_high_quantile_most() -> None:
    levels, quantiles = np.full((1, 3), 10.0), (0.5, 0.9, 0.98)
    assert pinball(np.array([10.0]), levels, quantiles) == 0.0
    assert pinball(np.array([13.0]), levels, quantiles) == pytest.approx(3.0 * (0.5 + 0.9 + 0.98) / 3.0)
    assert pinball(np.array([7.0]), levels, quantiles) == pytest.approx(3.0 * (0.5 + 0.1 + 0.02) / 3.0)


def test_a_gap_is_no_demand_and_no_fall_of_it() -> None:
    whole = a_week(days=7.25)
    holed = whole.copy()
    holed[3 * DAY : 3 * DAY + 40] = np.nan
    holed[:5] = np.nan
    found, same = (forecast(each, STEP, 3, QUANTILES).expected for each in (holed, whole))
    assert found == pytest.approx(same, rel=0.05)


def test_a_night_without_any_demand_is_forecast_without_an_error() -> None:
    nights = a_week()
    nights[np.arange(len(nights)) % DAY < DAY // 3] = 0.0
    found = forecast(nights, STEP, 3, QUANTILES)
    assert 0.0 < found.expected < math.inf


def test_demand_that_never_changes_is_expected_to_stay() -> None:
    found = forecast(np.full(2 * DAY, 7.0), STEP, 3, QUANTILES)
    assert (found.trust, found.error_ratio) == (0.0, 1.0)
    assert found.expected == pytest.approx(7.0)
    assert found.quantiles == pytest.approx((7.0, 7.0, 7.0))


@pytest.mark.parametrize("horizon", [1, 6])
def test_too_short_a_history_is_refused_with_what_is_needed(horizon: int) -> None:
    needed = FEWEST_KNOWN + 2 * horizon
    with pytest.raises(TooShortError, match=f"{needed - 1} values; a forecast needs {needed}"):
        forecast(np.full(needed - 1, 1.0), STEP, horizon, QUANTILES)
    assert forecast(np.full(needed, 1.0), STEP, horizon, QUANTILES).expected == pytest.approx(1.0)


def test_the_same_weekday_says_more_than_the_day_before() -> None:
    days = [a_week(days=1, swing=0.2 if day % 7 in (5, 6) else 1.5) for day in range(15)]
    monday = np.concatenate(days)[: 14 * DAY + DAY // 4 + 1]
    whole = np.concatenate(days)
    found = forecast(monday, STEP, 6, QUANTILES)
    after_weekend = forecast(monday[7 * DAY + 1 :], STEP, 6, QUANTILES)
    truth = math.log(whole[len(monday) + 5])
    assert abs(math.log(found.expected) - truth) < abs(math.log(after_weekend.expected) - truth)


@given(st.floats(0.01, 1e6), st.integers(1, 8), st.integers(0, 1000))
def test_a_forecast_scales_with_demand_and_its_quantiles_rise(scale: float, horizon: int, seed: int) -> None:
    demand = a_week(days=2, noise=0.2, seed=seed)
    one, scaled = (forecast(each, STEP, horizon, QUANTILES) for each in (demand, scale * demand))
    assert scaled.expected == pytest.approx(scale * one.expected, rel=1e-6)
    assert list(one.quantiles) == sorted(one.quantiles)
    assert 0.0 <= one.trust <= 1.0
