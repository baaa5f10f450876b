"""`python -m bench.forecast [--json F] [--traces DIR]`: demand one step ahead on real rate traces, against rivals.

Pinball loss of the quantiles .5, .9 and .98, over the mean demand. Each rival is a point forecast with the quantiles of
its own errors of late, as ours; all see the same values, and gaps are masked. Kalman is Dynamo's default filter.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.engine.progress import say
from bench.kalman import LocalTrend
from trimtab_operator.analysis.forecast import DAY_SECONDS, MOST_ERRORS, forecast
from trimtab_operator.model.arrays import Floats

Rival = Callable[[Floats, int], Floats]
"""From values (gaps filled) and steps per day to what each time expects of the next."""

TRACES = Path(__file__).parents[2] / "shared" / "data" / "traces"
PATTERN = "rate_*.csv*"
QUANTILES = (0.5, 0.9, 0.98)
WARM_UP_DAYS, LOOKBACK_DAYS = 3, 21
FLOOR, AIM = 1.0, 0.9
_LEAST = 1e-9


class UnfitTraceError(Exception):
    """A file of traces has not the columns that are needed."""


@dataclass(frozen=True)
class Row:
    """One trace: pinball losses over the mean demand, and ours over the best rival's."""

    trace: str
    step_seconds: float
    times: int
    trimtab: float
    best_rival: float
    rival: str
    ratio: float
    met: bool
    rivals: dict[str, float]


def read(path: Path) -> tuple[Floats, float]:
    """Return demand with NaN for gaps, and the seconds between two values. Raises UnfitTraceError."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        rows = list(csv.DictReader(lines))
    value = next((name for name in ("rate_rps", "value") if rows and name in rows[0]), None)
    if value is None or "t_s" not in rows[0]:
        raise UnfitTraceError(f"{path} needs the columns t_s and rate_rps (or value)")
    gap = np.array([row.get("gap") == "1" for row in rows])
    demand = np.where(gap, np.nan, np.array([float(row[value]) for row in rows]))
    return demand, float(np.median(np.diff([float(row["t_s"]) for row in rows])))


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
    return np.asarray(np.maximum(expected, _LEAST))


RIVALS: dict[str, Rival] = {
    "persistence": persistence,
    "seasonal naive": seasonal_naive,
    "Holt-Winters": holt_winters,
    "Kalman (Dynamo)": kalman,
}


def filled(demand: Floats) -> Floats:
    """Return demand whose gaps hold the last value before them."""
    known = np.isfinite(demand)
    return np.asarray(demand[np.maximum.accumulate(np.where(known, np.arange(len(demand)), int(known.argmax())))])


def pinball(value: float, levels: Floats) -> float:
    """Return the mean loss of the quantiles (Koenker and Bassett, 1978)."""
    off, shares = value - levels, np.array(QUANTILES)
    return float(np.maximum(shares * off, (shares - 1.0) * off).mean())


def measure(name: str, demand: Floats, step_seconds: float) -> Row:
    """Forecast every time after the warm-up from what was known then."""
    day = round(DAY_SECONDS / step_seconds)
    values = filled(demand)
    expected = {rival: forecast_by(values, day) for rival, forecast_by in RIVALS.items()}
    errors = {rival: _log(values[1:]) - _log(each[:-1]) for rival, each in expected.items()}
    losses: dict[str, list[float]] = {rival: [] for rival in ("trimtab", *RIVALS)}
    for now in range(min(WARM_UP_DAYS * day, len(values) // 2), len(values) - 1):
        came = demand[now + 1]
        if not np.isfinite(came):
            continue
        seen = demand[max(0, now + 1 - LOOKBACK_DAYS * day) : now + 1]
        found = forecast(seen, step_seconds, 1, QUANTILES)
        losses["trimtab"].append(pinball(came, np.array(found.quantiles)))
        for rival, each in expected.items():
            spread = np.quantile(errors[rival][max(0, now - MOST_ERRORS) : now], QUANTILES)
            losses[rival].append(pinball(came, each[now] * np.exp(spread)))
    mean = float(np.nanmean(demand))
    loss = {rival: float(np.mean(each)) / mean for rival, each in losses.items()}
    best = min(RIVALS, key=lambda rival: loss[rival])
    ratio = loss["trimtab"] / loss[best]
    ours = loss.pop("trimtab")
    return Row(name, step_seconds, len(losses["trimtab"]), ours, loss[best], best, ratio, ratio <= FLOOR, loss)


def _log(values: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(values, _LEAST)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every trace; 1 where a floor is missed, 2 where the traces cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m bench.forecast", description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--traces", type=Path, default=TRACES)
    options = parser.parse_args(arguments)
    rows = []
    paths = sorted(options.traces.glob(PATTERN))
    if not paths:
        say(f"bench.forecast: {options.traces} has no file {PATTERN}")
        return 2
    print(f"{'trace':40} {'step':>6} {'ours':>7} {'best rival':>24} {'ratio':>6}  at most {FLOOR:g}, aim {AIM:g}")
    for path in paths:
        try:
            row = measure(path.name, *read(path))
        except UnfitTraceError as error:
            say(f"bench.forecast: {error}")
            return 2
        rows.append(row)
        beside = f"{row.rival} {row.best_rival:.4f}"
        verdict = "met" if row.met else "MISSED"
        print(
            f"{row.trace:40} {row.step_seconds:5.0f}s {row.trimtab:7.4f} {beside:>24} {row.ratio:6.3f}  {verdict}",
            flush=True,
        )
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
