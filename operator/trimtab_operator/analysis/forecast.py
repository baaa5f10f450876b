"""Demand at the lead time: where it will be when a replica that is asked for now serves.

The logarithm of demand is expected to change by what a regression over the last days makes of three things that are
known now: how it changed on earlier days at that time of the day (those of the same weekday count more), and how far it
stands from its fast and from its slow moving average. Nothing known gives no change: persistence. Where the regression
did no better than that of late, its change counts less, down to nothing. Quantiles are those of its own errors of late.
The regression is a ridge regression (Hoerl and Kennard, 1970) whose past fades exponentially.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trimtab_operator.model.arrays import Floats

DAY_SECONDS = 86_400
WEEK_DAYS = 7
SEASON_DAYS = 14
DAY_DECAY = 0.6  # what a day counts of the day after it
WEEKDAY_WEIGHT = 10.0
SMOOTHED_STEPS = 3  # to both sides, of the changes of earlier days
AVERAGES = (0.3, 0.05)  # weight of the newest value
HALF_LIFE_DAYS = 1.0  # of what the regression learns from
RIDGE = 0.02  # of the mean variance of the three
LEAST_WEIGHT, LARGEST_WEIGHT = -0.2, 1.0
TRUST_DAYS = 7
TRUST_WIDTH = 0.2  # a tenth better than persistence is trusted wholly, a tenth worse not at all
FEWEST_KNOWN = 40  # pairs of a time and what came after it
MOST_ERRORS = 300
LEAST_SHARE = 1e-3  # of the mean: what is below is no further from it than that


class TooShortError(ValueError):
    """There is too little history for a forecast; the message says how much is needed."""


@dataclass(frozen=True)
class Forecast:
    """What demand will be, in its own unit: the `expected` value and one for each quantile that was asked for.

    `trust` is how much of the learned change was believed, 0 (persistence) to 1; `error_ratio` the mean absolute error
    of late over that of persistence, both of logarithms.
    """

    expected: float
    quantiles: tuple[float, ...]
    trust: float
    error_ratio: float


def forecast(demand: Floats, step_seconds: float, horizon: int, quantiles: Sequence[float]) -> Forecast:
    """Forecast demand `horizon` steps after the last value of a regular series; NaN is a gap, 0 is no demand.

    Raises TooShortError where there are not FEWEST_KNOWN values of which it is known what came after them.
    """
    known, needed = int(np.isfinite(demand).sum()), FEWEST_KNOWN + 2 * horizon
    if known < needed:
        raise TooShortError(f"{known} values; a forecast needs {needed}")
    logs, day = _filled_logs(demand), max(1, round(DAY_SECONDS / step_seconds))
    changes = _learned_changes(logs, horizon, day)
    trust, error_ratio = _trust(changes, logs, horizon, day)
    expected, came = np.exp(logs + trust * changes), np.exp(logs[horizon:])
    levels = quantile_levels(expected[:-horizon], came, float(expected[-1]), quantiles)
    return Forecast(float(expected[-1]), tuple(levels.tolist()), trust, error_ratio)


def quantile_levels(expected: Floats, came: Floats, now: float, quantiles: Sequence[float]) -> Floats:
    """Return the quantiles of what comes where `now` is expected, from what was expected before (above 0) and came.

    They are those of the MOST_ERRORS last errors, as shares of what was expected or as amounts: where demand doubles,
    some of it varies twice as much, and some as before. The kind is taken that had lost less at those times.
    """
    before, after = expected[-MOST_ERRORS:], came[-MOST_ERRORS:]
    shares, amounts = np.quantile(after / before, quantiles), np.quantile(after - before, quantiles)
    lost = [pinball(after, levels, quantiles) for levels in (np.outer(before, shares), before[:, None] + amounts)]
    return np.asarray(now * shares if lost[0] <= lost[1] else np.maximum(now + amounts, 0.0))


def pinball(came: Floats, levels: Floats, quantiles: Sequence[float]) -> float:
    """Return the mean loss of quantiles, one row of levels for each value that came (Koenker and Bassett, 1978)."""
    off, shares = came[:, None] - levels, np.asarray(quantiles)
    return float(np.maximum(shares * off, (shares - 1.0) * off).mean())


def _filled_logs(values: Floats) -> Floats:
    """Return logarithms; a gap holds the last value before it, or the first that there is."""
    known = np.isfinite(values)
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), int(known.argmax())))
    filled = values[last]
    return np.asarray(np.log(np.maximum(filled, LEAST_SHARE * max(filled.mean(), LEAST_SHARE))))


def _learned_changes(logs: Floats, horizon: int, day: int) -> Floats:
    """Return for each time the change over the horizon that what was known then makes likely; 0 while little was."""
    known = np.stack([_seasonal(logs, horizon, day), *(_moving(logs, weight) - logs for weight in AVERAGES)], axis=1)
    came = logs[horizon:] - logs[:-horizon]
    weight = 1.0 - 0.5 ** (1.0 / (HALF_LIFE_DAYS * day))
    products = _moving(known[:-horizon, :, None] * known[:-horizon, None, :], weight)
    targets = _moving(known[:-horizon] * came[:, None], weight)
    size = np.trace(products, axis1=1, axis2=2) / known.shape[1]
    ridge = np.maximum(RIDGE * size, LEAST_SHARE**2)[:, None, None] * np.eye(known.shape[1])
    weights = np.linalg.solve(products + ridge, targets[:, :, None])[:, :, 0].clip(LEAST_WEIGHT, LARGEST_WEIGHT)
    changes = np.zeros(len(logs))
    changes[horizon:] = (known[horizon:] * weights).sum(axis=1)
    changes[: FEWEST_KNOWN + horizon] = 0.0
    return changes


def _seasonal(logs: Floats, horizon: int, day: int) -> Floats:
    """Return how demand changed over the horizon on earlier days at the time that follows each time; 0 before."""
    changes = np.zeros(len(logs))
    changes[horizon:] = logs[horizon:] - logs[:-horizon]
    width = 2 * SMOOTHED_STEPS + 1
    smooth = np.convolve(changes, np.full(width, 1.0 / width), mode="same")
    total, weights = np.zeros(len(logs)), np.zeros(len(logs))
    for days in range(1, SEASON_DAYS + 1):
        back = days * day - horizon
        if back < SMOOTHED_STEPS or back + horizon + SMOOTHED_STEPS >= len(logs):
            continue
        weight = DAY_DECAY**days * (WEEKDAY_WEIGHT if days % WEEK_DAYS == 0 else 1.0)
        first = back + horizon + SMOOTHED_STEPS
        total[first:] += weight * smooth[first - back : len(logs) - back]
        weights[first:] += weight
    return np.asarray(total / np.where(weights > 0.0, weights, 1.0))


def _moving(values: Floats, weight: float) -> Floats:
    """Return the exponential moving average along the first axis, from the first value on."""
    averages = np.empty_like(values)
    average = values[0]
    for place, value in enumerate(values):
        average = average + weight * (value - average)
        averages[place] = average
    return averages


def _trust(changes: Floats, logs: Floats, horizon: int, day: int) -> tuple[float, float]:
    """Return how far to believe the changes by how they did of late, and their error over that of persistence."""
    came = (logs[horizon:] - logs[:-horizon])[-TRUST_DAYS * day :]
    missed = came - changes[:-horizon][-TRUST_DAYS * day :]
    persistence = float(np.abs(came).mean())
    if persistence == 0.0:
        return 0.0, 1.0
    ratio = float(np.abs(missed).mean()) / persistence
    return min(1.0, max(0.0, (1.0 - ratio) / TRUST_WIDTH + 0.5)), ratio
