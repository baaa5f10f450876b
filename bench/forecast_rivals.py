"""The forecasts that ours is compared with in `bench.forecast`, and that can be made while it runs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.kalman import LocalTrend
from trimtab_operator.model.arrays import Floats

Rival = Callable[[Floats, int], Floats]
"""From values (gaps filled) and steps per day to what each time expects of the next."""

_LEAST = 1e-9
"""What has a logarithm."""


def persistence(values: Floats, _day: int) -> Floats:
    """Expect no change."""
    return values


def seasonal_naive(values: Floats, day: int) -> Floats:
    """Expect what came a day before; no change on the first."""
    return np.asarray(np.where(np.arange(len(values)) + 1 >= day, np.roll(values, day - 1), values))


def holt_winters(values: Floats, day: int) -> Floats:
    """Additive seasonal smoothing of logarithms with a damped trend."""
    level_weight, trend_weight, season_weight, damping = 0.3, 0.02, 0.2, 0.95
    logs = np.log(np.maximum(values, _LEAST))
    level, trend = float(logs[:day].mean()), 0.0
    season = (logs[:day] - level).tolist()
    expected = logs.copy()
    for place in range(day, len(logs)):
        before, part = level, season[place % day]
        level = level_weight * (logs[place] - part) + (1 - level_weight) * (level + damping * trend)
        trend = trend_weight * (level - before) + (1 - trend_weight) * damping * trend
        season[place % day] = season_weight * (logs[place] - level) + (1 - season_weight) * part
        expected[place] = level + damping * trend + season[(place + 1) % day]
    return np.asarray(np.exp(expected))


def kalman(values: Floats, _day: int) -> Floats:
    """A local linear trend with Dynamo's default noises."""
    trend = LocalTrend()
    expected = np.empty(len(values))
    for place, value in enumerate(values.tolist()):
        expected[place] = trend.observe(value)
    return np.asarray(np.maximum(expected, 0.0))


RIVALS: dict[str, Rival] = {
    "persistence": persistence,
    "seasonal naive": seasonal_naive,
    "Holt-Winters": holt_winters,
    "Kalman (Dynamo)": kalman,
}
